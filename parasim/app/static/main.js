// The page: one state, the questions that follow from it, and who shows the answers.
import { ask, Live } from "./ask.js";
import { Deadline } from "./deadline.js";
import { offerFiles } from "./downloads.js";
import { Form } from "./form.js";
import { comparePins, lineOf } from "./pins.js";
import { fill, showBill, showLines, showMemory, showMethods, showNotes, showOrigin, showReasons, showTimeline } from "./results.js";
import { changed, packed, unpacked } from "./state.js";
import { amount, clock, el, money, moment } from "./text.js";

const REST = 350;
const DEVICES = ["rtx-4090", "l40s", "a100-80gb", "h100"];
const MEMORY_FIELDS = ["model", "method", "local", "blocks", "lora", "train", "fleet", "compute"];

const byId = (id) => document.getElementById(id);
const choices = await (await fetch("/begin")).json();
let state = { fields: choices.points[choices.start], pins: [] };
let latest = {};
let rest = 0;
let memoryOf = "";
let memorySeen = false;
let sound = true;

const own = () => (typeof state.fields.method === "string" ? state.fields.method : state.fields.method?.name) ?? "parablock";

const form = new Form(byId("form"), choices, { change, computeOn, open, links, text });
const deadline = new Deadline(byId("deadline"), choices.quantities, () => state.fields);

const live = {
  run: new Live("run", (found) => {
    latest.run = found;
    if (!sound) {
      tell([]);
    }
    sound = true;
    document.body.classList.remove("unsound");
    form.show(state.fields, found);
    headline(found);
    showTimeline(byId("timeline"), found.timeline);
    showBill(byId("bill"), found.bill, found.figures);
    showOrigin(byId("origin"), found);
    showNotes(byId("notes"), found);
    deadline.tell(found.figures.wall_clock_s);
    compare();
  }, refused, byId("timeline")),
  computing: new Live("computing", (computing) => form.offer(computing), () => {}, null),
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

/** The scenario cannot be run: what is shown is about the one before. */
function refused(problems) {
  sound = false;
  document.body.classList.add("unsound");
  tell(problems);
}

/** What is wrong stands at its fields; what is no field's, above the results. */
function tell(problems) {
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

/** Have all groups compute on something else: what they named themselves would stand before it. */
function computeOn(compute) {
  const fleet = state.fields.fleet?.map((group) => changed(group, ["device"], undefined));
  become({ ...state, fields: { ...state.fields, compute, ...(fleet ? { fleet } : {}) } }, true);
}

/** Take over another state: everything is asked anew. */
function become(next, moving = false) {
  state = next;
  if (sound) {
    // What was told was about something else; what is wrong with the scenario stays until it runs.
    tell([]);
  }
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
  trace();
}

/** Trace what an update needs of memory, where somebody sees it. */
function trace() {
  const memory = JSON.stringify(MEMORY_FIELDS.map((name) => state.fields[name]));
  if (sound && memorySeen && memory !== memoryOf) {
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
  const pinned = state.pins.map((pin, number) => ({ name: `pin ${number + 1}`, points: bandwidth && lineOf(pin) }))
    .filter((line) => line.points).map((line) => ({ ...line, points: line.points.map(([x, y]) => [x / bandwidth, y]) }));
  showLines(byId("lines"), latest.lines, { colours: choices.colours, own: own(), pinned });
}

/** Pinned settings beside this one, in a table and as lines. */
async function compare() {
  await comparePins(byId("compare"), state.pins, { now: latest.run, fields: state.fields,
    use: (number) => become({ ...state, fields: state.pins[number].fields }),
    drop: (number) => become({ ...state, pins: state.pins.filter((_, other) => other !== number) }) });
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
    tell(error.problems);
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
    tell([{ field: "", text: `${name}: has no fleet; \`paraSim import links\` makes one of what iperf3, ping and others measured` }]);
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
      tell(error.problems.map((problem) => ({ ...problem, field: "yaml" })));
    }
  }, REST);
}

offerFiles(byId("downloads"), choices.pictures, () => state.fields, tell);
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
  const given = location.hash.length > 1;
  const shared = given ? await unpacked(location.hash.slice(1)) : null;
  become(shared ?? state);
  if (given && !shared) {
    tell([{ field: "", text: "The address holds no scenario that can be read; this is where paraSim app starts." }]);
  }
}
addEventListener("hashchange", fromAddress);

new IntersectionObserver(([{ isIntersecting }]) => {
  memorySeen = isIntersecting;
  trace();
}).observe(byId("memory"));

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
