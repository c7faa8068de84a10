"""When things happen: events, bytes, links, clocks. Never a tensor."""
