// The cards on the right: each draws what the server answered to one question.
import { bars, keys, lineChart, timelineChart, className } from "./charts.js";
import { amount, clock, digits, el, money, notes, numbers, table } from "./text.js";

const CATEGORIES = ["weights", "working-copy", "master", "gradients", "moments", "activations", "logits", "temporaries"];
const WORTH_A_ROW = 0.001;

/** Fill a card; what was unfolded or had the focus stays so. */
export function fill(section, ...inside) {
  const box = section.querySelector(":scope > div");
  const open = [...box.querySelectorAll("details")].map((details) => details.open);
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  box.replaceChildren(...inside.flat().filter((one) => one !== null));
  box.querySelectorAll("details").forEach((details, number) => {
    details.open = open[number] ?? false;
  });
  if (focused) {
    box.querySelector(`[data-key="${focused}"]`)?.focus();
  }
}

export function showMethods(section, found, { own, choose }) {
  const name = (bar) => el("button", { type: "button", class: "plain name", "data-key": bar.method, "aria-pressed": String(bar.method === own),
    title: `Choose ${bar.method}`, click: () => choose(bar.method) }, bar.method);
  const rows = found.bars.map((bar) => ({
    name: name(bar),
    lengths: bar.parts,
    end: clock(bar.wall_clock_s),
    own: bar.method === own,
    tip: [bar.method, ...found.parts.map((part, number) => [part, bar.parts[number]]).filter(([, seconds]) => seconds > 0)
      .map(([part, seconds]) => `${part} ${clock(seconds)}`), `hidden communication ${clock(bar.hidden_s)}`,
    `computing times ${bar.origin}`].join("\n"),
  }));
  const present = found.parts.filter((_, number) => found.bars.some((bar) => bar.parts[number] > 0));
  const head = ["method", ...present, "hidden", "wall-clock", "uploaded", "downloaded", "cost", "computing times"];
  const lines = found.bars.map((bar) => [bar.method, ...present.map((part) => clock(bar.parts[found.parts.indexOf(part)])), clock(bar.hidden_s),
    clock(bar.wall_clock_s), amount(bar.uploaded_bytes), amount(bar.downloaded_bytes), money(bar.cost), bar.origin]);
  const refused = Object.entries(found.refused).map(([method, why]) => `${method} cannot run this: ${why.replace(/^scenario: /, "")}`);
  fill(section, keys(present.map((part) => [className(part), part])), bars(found.parts, rows), notes([...found.notes, ...refused]),
    numbers(table(head, lines, [...head.keys()].slice(1, -1))));
}

export function showLines(section, found, { colours, own, pinned }) {
  const width = Math.max(280, section.clientWidth - 34);
  const factors = [...new Set(found.lines.flatMap((line) => line.points.map((point) => point[0])))].sort((one, other) => one - other);
  const rows = factors.map((factor) => [found.bandwidth === null ? `× ${digits(factor, 4)}` : amount(found.bandwidth * factor, "B/s"),
    ...found.lines.map((line) => line.points.find((point) => point[0] === factor)).map((point) => (point ? clock(point[1]) : "-"))]);
  const head = [found.bandwidth === null ? "links" : "bandwidth", ...found.lines.map((line) => line.method)];
  fill(section, lineChart(found, { width, colours, own, pinned }), notes([found.hidden.said, ...found.notes].filter(Boolean)),
    numbers(table(head, rows, [...head.keys()])));
}

export function showTimeline(section, found) {
  const width = Math.max(280, section.clientWidth - 34);
  const rows = found.rows.flatMap((row) => row.spans.map(([kind, start, end, round]) => [row.name, kind, String(round), clock(start), clock(end)]));
  const some = found.clients === found.all ? "" : `; ${found.clients} of ${found.all} clients`;
  fill(section, keys([["compute", "computing (number of the round)"], ["upload", "upload"], ["download", "download"], ["aggregate", "aggregation"], ["path", "critical path"]]),
    timelineChart(found, width), notes([`The first ${found.rounds} rounds${some}.`]),
    numbers(table(["who", "what", "round", "from", "to"], rows, [2, 3, 4])));
}

export function showReasons(section, found) {
  const [first, ...others] = found.sentences;
  const large = found.shares.filter((share) => share.share >= WORTH_A_ROW);
  const path = large.map((share) => ({ name: `${share.resource}, ${share.group}`, lengths: [share.seconds],
    end: `${(100 * share.share).toFixed(1)} %`, tip: `${share.resource} of ${share.group}: ${clock(share.seconds)}`, limit: found.wall_clock_s }));
  const helpful = found.claims.filter((claim) => claim.saves_s !== null && claim.saves_s > WORTH_A_ROW * found.wall_clock_s);
  const saved = helpful.map((claim) => ({ name: claim.change, lengths: [claim.saves_s], end: clock(claim.saves_s), limit: found.wall_clock_s,
    tip: `${claim.change}\nwould save ${clock(claim.saves_s)}: ${clock(claim.simulated_s)} instead of ${clock(found.wall_clock_s)}, simulated` }));
  fill(section, el("p", { class: "verdict" }, first),
    el("div", { class: "halves" },
      el("div", {}, el("h3", {}, "The critical path by resource"), bars(["computing"], path)),
      el("div", {}, el("h3", {}, "Saved by a change, as simulated"), saved.length ? bars(["saved"], saved) : el("p", {}, "Nothing that was tried saves time."))),
    el("details", {}, el("summary", {}, "In words"), ...others.map((sentence) => el("p", {}, sentence))));
}

export function showBill(section, bill, figures) {
  const rows = Object.entries(bill.items).map(([name, dollars]) => [name, money(dollars)]);
  const rounds = figures.rounds === 1 ? "one round" : `${figures.rounds.toLocaleString("en")} rounds`;
  fill(section, table(["of all clients", "cost"], rows, [1], ["together", money(bill.total)]),
    notes([`${clock(figures.wall_clock_s)} of ${rounds}; ${digits(bill.kilowatt_hours, 3)} kWh.`,
      bill.assumed.length ? `Assumed, not given: ${bill.assumed.join(", ")}.` : "All prices are given."]));
}

export function showOrigin(section, found) {
  fill(section, el("p", {}, found.origin));
}

/** What must be known of the run before it is believed, such as that it does not fit a device. */
export function showNotes(section, found) {
  section.hidden = found.notes.length === 0;
  fill(section, found.notes.map((text) => el("p", {}, text)));
}

/** What a local update needs on each device; `all` are the methods that were traced. */
export function showMemory(section, all, more) {
  const rows = all.flatMap((found) => found.devices.map((device) => {
    const need = found.needs.find((one) => one.precision === device.precision);
    const gap = need.peak_bytes - device.memory_bytes;
    const said = device.fits.length ? "fits" : device.fits_recomputing.length ? "recomputing" : `${digits(gap / 1e9, 3)} GB short`;
    return { need, device, said };
  }));
  const drawn = rows.map(({ need, device, said }) => ({
    name: all.length > 1 ? `${need.method}, ${device.device}` : device.device,
    lengths: CATEGORIES.map((category) => need.by_category[category] ?? 0),
    limit: device.memory_bytes,
    end: said,
    tip: [`${need.method} on ${device.device} (weights in ${need.precision})`, `needs ${amount(need.peak_bytes)} of ${amount(device.memory_bytes)}`,
      `recomputing activations, ${amount(need.recomputed_peak_bytes)}`,
      ...CATEGORIES.filter((category) => need.by_category[category]).map((category) => `${category} ${amount(need.by_category[category])}`)].join("\n"),
  }));
  const lines = rows.map(({ need, device, said }) => [need.method, device.device, amount(device.memory_bytes), amount(need.peak_bytes),
    amount(need.recomputed_peak_bytes), amount(need.in_flight_bytes), said]);
  const present = CATEGORIES.filter((category) => rows.some(({ need }) => need.by_category[category]));
  const said = all.flatMap((found) => [...found.notes, ...found.unknown_devices.map((device) => `Nobody knows the memory of ${device}.`)]);
  fill(section, keys([...present.map((category) => [`m-${category}`, category]), ["m-limit", "memory of the device"]]),
    bars(CATEGORIES.map((category) => `m-${category}`), drawn), notes([...new Set(said)]), more,
    numbers(table(["method", "device", "has", "needs", "recomputing", "in flight", ""], lines, [2, 3, 4, 5])));
}
