// Questions to the server: one after the other, the last one counts.

// Tracing for a device that nobody measured takes seconds, and what was traced is lost with the process.
const PATIENCE = 10000;

/** Ask once; what is wrong is thrown, as { problems }. */
export async function ask(name, asked, signal) {
  let response;
  try {
    response = await fetch(`/ask/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw { problems: [{ field: "", text: "paraSim app does not answer: was it ended?" }] };
  }
  if (response.headers.get("Content-Type") === "application/octet-stream") {
    return response.blob();
  }
  const answer = await response.json();
  if (answer.problems) {
    throw answer;
  }
  return answer;
}

/**
 * A question that is asked again whenever something changes. While one is on its way, only the newest waits; one that
 * takes very long is given up for it.
 */
export class Live {
  constructor(name, answered, failed, section) {
    Object.assign(this, { name, answered, failed, section, next: null, since: null, stop: null });
  }

  ask(asked) {
    this.section?.setAttribute("aria-busy", "true");
    this.next = asked;
    if (this.since === null) {
      this.run();
    } else if (performance.now() - this.since > PATIENCE) {
      this.stop.abort();
    }
  }

  async run() {
    while (this.next !== null) {
      const asked = this.next;
      this.next = null;
      this.since = performance.now();
      this.stop = new AbortController();
      const late = setTimeout(() => this.next !== null && this.stop.abort(), PATIENCE);
      try {
        const answer = await ask(this.name, asked, this.stop.signal);
        this.answered(answer, asked);
        this.section?.classList.remove("old");
      } catch (error) {
        if (error.name !== "AbortError") {
          if (!error.problems) {
            throw error;
          }
          this.section?.classList.add("old");
          this.failed(error.problems, asked);
        }
      } finally {
        clearTimeout(late);
        this.since = null;
      }
    }
    this.section?.removeAttribute("aria-busy");
  }
}
