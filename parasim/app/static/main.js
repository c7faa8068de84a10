// The page: one state, the questions that follow from it, and who shows the answers.
import { ask, Live } from "./ask.js";
import { bars } from "./charts.js";
import { Deadline } from "./deadline.js";
import { Form } from "./form.js";
import { fill, showBill, showLines, showMemory, showMethods, showOrigin, showReasons, showTimeline } from "./results.js";
import { changed, differences, packed, unpacked } from "./state.js";
import { amount, clock, el, money, moment, table } from "./text.js";

const REST = 350;
const DEVICES = ["rtx-4090", "l40s", "a100-80gb", "h100"];
const MEMORY_FIELDS = ["model", "method", "local", "blocks", "lora", "train", "fleet", "compute"];
const PARTS = ["compute_s", "exposed_communication_s", "waiting_s", "offline_s", "failed_s"];
const NAMES = ["computing", "exposed communication", "waiting", "offline", "failed"];

const byId = (id) => document.getElementById(id);
const choices = await (await fetch("/begin")).json();
let state = { fields: choices.points[choices.start], pins: [] };
let latest = {};
let rest = 0;
let memoryOf = "";
let sound = true;
const ofPins = new Map();

const own = () => (typeof state.fields.method === "string" ? state.fields.method : state.fields.method?.name) ?? "parablock";

const form = new Form(byId("form"), choices, { change, open, links, text });
const deadline = new Deadline(byId("deadline"), choices.quantities, () => state.fields);

const live = {
  run: new Live("run", (found) => {
    latest.run = found;
    sound = true;
    document.body.classList.remove("unsound");
    byId("problems").hidden = true;
    form.wrong([]);
    form.show(state.fields, found);
    headline(found);
    showTimeline(byId("timeline"), found.timeline);
    showBill(byId("bill"), found.bill, found.figures);
    showOrigin(byId("origin"), found);
    deadline.tell(found.figures.wall_clock_s);
    compare();
  }, refused, byId("timeline")),
  computing: new Live("computing", ({ computing }) => form.offer(computing), () => {}, null),
  methods: new Live("methods", (found) => {
    showMethods(byId("methods"), found, { own: own(), choose: (method) => change(["method", "name"], method) });
  }, failed(byId("methods")), byId("methods")),
  lines: new Live("lines", (found) => {
    latest.lines = found;
    drawLines();
  }, failed(byId("lines")), byId("lines")),
  reasons: new Live("reasons", (found) => showReasons(byId("reasons"), found), failed(byId("reasons")), byId("reasons")),
  needs: new Live("needs", (found) => {
    showMemory(byId("memory"), [found], el("button", { type: "button", id: "memory-all", click: traceAll }, "Trace the other methods, too"));
  }, failed(byId("memory")), byId("memory")),
};

/** What is wrong with the scenario stands at its fields; what is no field's, above the results. */
function refused(problems) {
  sound = false;
  document.body.classList.add("unsound");
  const left = form.wrong(problems);
  const box = byId("problems");
  box.replaceChildren(...left.map(({ text }) => el("p", {}, text)));
  box.hidden = left.length === 0;
  byId("said").textContent = problems.map(({ text }) => text).join("; ");
}

/** The run says what is wrong with a scenario; what another question cannot do stands in its own card. */
function failed(section) {
  return (problems) => sound && fill(section, problems.map(({ text }) => el("p", { class: "problem" }, text)));
}

function change(path, value) {
  let { fields } = state;
  if (path.join(".") === "method.name") {
    // Parameters are those of one method.
    fields = { ...fields, method: value };
  } else {
    if (path[0] === "fleet" && !fields.fleet) {
      fields = { ...fields, fleet: form.ownFleet() };
    }
    if (path.join(".") === "blocks.layers") {
      fields = changed(fields, ["blocks", "count"], undefined);
    }
    fields = changed(fields, path, value);
  }
  become({ ...state, fields }, true);
}

/** Take over another state: everything is asked anew. */
function become(next, moving = false) {
  state = next;
  form.show(state.fields);
  live.run.ask({ fields: state.fields, timeline: true });
  live.computing.ask({ fields: state.fields });
  live.methods.ask({ fields: state.fields });
  live.lines.ask({ fields: state.fields, live: true });
  deadline.changed();
  clearTimeout(rest);
  rest = setTimeout(settle, moving ? REST : 0);
}

/** What is worth its time only when nothing moves any more. */
async function settle() {
  history.replaceState(null, "", `#${await packed(state)}`);
  byId("said").textContent = sound ? `${byId("wall-clock").textContent}. ${byId("headline-said").textContent}` : byId("said").textContent;
  if (!sound) {
    return;
  }
  live.reasons.ask({ fields: state.fields });
  live.lines.ask({ fields: state.fields });
  const memory = JSON.stringify(MEMORY_FIELDS.map((name) => state.fields[name]));
  if (memory !== memoryOf) {
    memoryOf = memory;
    live.needs.ask({ fields: state.fields, devices: DEVICES });
  }
}

function headline({ figures, bill }) {
  byId("wall-clock").textContent = clock(figures.wall_clock_s);
  const exposed = figures.wall_clock_s ? figures.exposed_communication_s / figures.wall_clock_s : 0;
  const end = moment(new Date(Date.now() + figures.wall_clock_s * 1000));
  byId("headline-said").textContent = `${(100 * exposed).toFixed(1)} % exposed communication · ${amount(figures.uploaded_bytes + figures.downloaded_bytes)} moved · `
    + `${money(bill.total)} · ends ${end} if started now`;
}

function drawLines() {
  // Multiples of two scenarios' links do not compare; their bandwidths do.
  const { bandwidth } = latest.lines;
  const pinned = state.pins.map((pin, number) => ({ name: `pin ${number + 1}`, points: bandwidth && ofPins.get(JSON.stringify(pin.fields))?.points }))
    .filter((line) => line.points).map((line) => ({ ...line, points: line.points.map(([x, y]) => [x / bandwidth, y]) }));
  showLines(byId("lines"), latest.lines, { colours: choices.colours, own: own(), pinned });
}

/** Pinned settings beside the one that is shown. */
async function compare() {
  const section = byId("compare");
  section.hidden = state.pins.length === 0;
  if (section.hidden) {
    return;
  }
  for (const pin of state.pins) {
    const key = JSON.stringify(pin.fields);
    if (!ofPins.has(key)) {
      ofPins.set(key, null);
      try {
        const [found, line] = await Promise.all([ask("run", { fields: pin.fields }), ask("lines", { fields: pin.fields, alone: true })]);
        ofPins.set(key, { ...found, points: line.bandwidth === null ? null : line.lines[0].points.map(([x, y]) => [x * line.bandwidth, y]) });
      } catch (error) {
        ofPins.set(key, { wrong: error.problems.map(({ text }) => text).join("; ") });
      }
    }
  }
  const now = latest.run;
  const rows = [{ name: "now", found: now, differs: "" }, ...state.pins.map((pin, number) => ({
    name: `pin ${number + 1}`, number, found: ofPins.get(JSON.stringify(pin.fields)),
    differs: differences(pin.fields, state.fields).join(", ") || "nothing" }))].filter((row) => row.found);
  const shown = rows.filter((row) => !row.found.wrong);
  const drawn = shown.map(({ name, found }) => ({ name: `${name}: ${found.method}`, own: found === now, end: clock(found.figures.wall_clock_s),
    lengths: PARTS.map((part) => found.figures[part] ?? 0), tip: found.head }));
  const cells = rows.map(({ name, number, found, differs }) => {
    const buttons = number === undefined ? "" : el("span", { class: "row" },
      el("button", { type: "button", "data-key": `use-${number}`, "aria-label": `Go back to pin ${number + 1}`, click: () => become({ ...state, fields: state.pins[number].fields }) }, "Use"),
      el("button", { type: "button", "data-key": `drop-${number}`, "aria-label": `Remove pin ${number + 1}`,
        click: () => become({ ...state, pins: state.pins.filter((_, other) => other !== number) }) }, "Remove"));
    if (found.wrong) {
      return [name, found.wrong, "", "", "", differs, buttons];
    }
    const ratio = found.figures.wall_clock_s / now.figures.wall_clock_s - 1;
    const against = found === now ? "" : `${ratio >= 0 ? "+" : "−"}${Math.abs(100 * ratio).toFixed(1)} %`;
    return [name, clock(found.figures.wall_clock_s), against, clock(found.figures.exposed_communication_s), money(found.bill.total), differs, buttons];
  });
  fill(section, bars(NAMES, drawn), table(["", "wall-clock", "against now", "exposed communication", "cost", "differs from now in", ""], cells, [1, 2, 3, 4]));
  if (latest.lines) {
    drawLines();
  }
}

async function traceAll() {
  const section = byId("memory");
  const fields = state.fields;
  section.classList.add("old");
  const all = [];
  for (const method of Object.keys(choices.methods)) {
    byId("memory-all")?.replaceChildren(`Tracing ${method} …`);
    try {
      all.push(await ask("needs", { fields: { ...fields, method }, devices: DEVICES }));
    } catch (error) {
      // A method that cannot run the scenario needs nothing; the bars above say why.
    }
    if (state.fields !== fields) {
      return;
    }
  }
  showMemory(section, all, null);
}

async function opened(name, content) {
  try {
    return (await ask("opened", { name, text: content })).fields;
  } catch (error) {
    refused(error.problems);
    return null;
  }
}

/** Begin with a point by its name, or with a file's text. */
async function open(name, content) {
  const fields = content === undefined ? choices.points[name] : await opened(name, content);
  if (fields) {
    become({ ...state, fields });
  }
}

/** Take over the fleet of a file, and the regions that it names. */
async function links(name, content) {
  const fields = await opened(name, content);
  if (fields && !fields.fleet) {
    refused([{ field: "", text: `${name}: has no fleet; \`paraSim import links\` makes one of what iperf3, ping and others measured` }]);
  } else if (fields) {
    const { regions, ...others } = state.fields;
    become({ ...state, fields: { ...others, fleet: fields.fleet, ...(fields.regions ? { regions: fields.regions } : {}) } });
  }
}

let typing = 0;
function text(content) {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    try {
      const { fields } = await ask("opened", { name: "scenario.yaml", text: content });
      become({ ...state, fields }, true);
    } catch (error) {
      refused(error.problems.map((problem) => ({ ...problem, field: "yaml" })));
    }
  }, REST);
}

async function save(file, button) {
  const name = button.textContent;
  button.textContent = `${name} …`;
  try {
    const link = el("a", { href: URL.createObjectURL(await ask("download", { fields: state.fields, file })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    refused(error.problems);
  } finally {
    button.textContent = name;
  }
}

const download = (file, name) => el("button", { type: "button", class: "plain", "data-file": file, click: (event) => save(file, event.currentTarget) }, name);
byId("downloads").querySelector("div").append(
  download("scenario.yaml", "Scenario (YAML)"), download("results.csv", "All methods (CSV)"), download("timeline.csv", "Timeline (CSV)"),
  download("report.html", "Report (HTML)"),
  ...Object.entries(choices.pictures).map(([name, formats]) => el("span", { class: "formats" }, el("span", {}, name),
    ...formats.map((format) => download(`${name}.${format}`, format.toUpperCase())))));
byId("downloads").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    byId("downloads").open = false;
    byId("downloads").querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  if (!byId("downloads").contains(event.target)) {
    byId("downloads").open = false;
  }
});

byId("pin").addEventListener("click", () => become({ ...state, pins: [...state.pins, { fields: state.fields }] }));
byId("share").addEventListener("click", async () => {
  const address = `${location.origin}/#${await packed(state)}`;
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address);
    byId("said").textContent = byId("share").textContent = "Copied";
  } catch {
    byId("share").textContent = "It is the page's address";
  }
  setTimeout(() => byId("share").replaceChildren("Copy link"), 2000);
});

async function fromAddress() {
  const shared = location.hash.length > 1 ? await unpacked(location.hash.slice(1)) : null;
  if (location.hash.length > 1 && !shared) {
    refused([{ field: "", text: "The address holds no scenario that can be read; this is where paraSim app starts." }]);
  }
  become(shared ?? state);
}
addEventListener("hashchange", fromAddress);

let width = 0;
new ResizeObserver(() => {
  if (byId("results").clientWidth !== width) {
    width = byId("results").clientWidth;
    if (latest.lines) {
      drawLines();
    }
    if (latest.run) {
      showTimeline(byId("timeline"), latest.run.timeline);
    }
  }
}).observe(byId("results"));

await fromAddress();
document.documentElement.dataset.ready = "true";
