// Pinned settings beside the one that is shown.
import { ask } from "./ask.js";
import { bars } from "./charts.js";
import { fill } from "./results.js";
import { differences } from "./state.js";
import { clock, el, money, table } from "./text.js";

const PARTS = {
  compute_s: "computing",
  exposed_communication_s: "exposed communication",
  waiting_s: "waiting",
  offline_s: "offline",
  failed_s: "failed",
};

/** Answers about pinned settings, each asked once. */
const known = new Map();

/** The line of a pinned setting: points of a bandwidth [B/s] and a wall-clock [s], if all of its links are alike. */
export function lineOf(pin) {
  return known.get(JSON.stringify(pin.fields))?.points;
}

async function answered(pin) {
  const key = JSON.stringify(pin.fields);
  if (!known.has(key)) {
    try {
      const [run, line] = await Promise.all([ask("run", { fields: pin.fields }), ask("lines", { fields: pin.fields, alone: true })]);
      known.set(key, { ...run, points: line.bandwidth && line.lines[0].points.map(([x, y]) => [x * line.bandwidth, y]) });
    } catch (error) {
      known.set(key, { wrong: error.problems.map(({ text }) => text).join("; ") });
    }
  }
  return known.get(key);
}

/** Compare; `now` is the run of `fields`, `use(number)` goes back to a pin and `drop(number)` removes it. */
export async function comparePins(section, pins, { now, fields, use, drop }) {
  section.hidden = pins.length === 0;
  if (section.hidden) {
    return;
  }
  const found = await Promise.all(pins.map(answered));
  const rows = [{ name: "now", run: now, differs: "" }, ...pins.map((pin, number) => (
    { name: `pin ${number + 1}`, number, run: found[number], differs: differences(pin.fields, fields).join(", ") || "nothing" }))];
  const drawn = rows.filter(({ run }) => !run.wrong).map(({ name, run }) => ({ name: `${name}: ${run.method}`, own: run === now,
    end: clock(run.figures.wall_clock_s), lengths: Object.keys(PARTS).map((part) => run.figures[part] ?? 0), tip: run.head }));
  const button = (name, label, number, done) =>
    el("button", { type: "button", "data-key": `${name}-${number}`, "aria-label": `${label} pin ${number + 1}`, click: () => done(number) }, name);
  const cells = rows.map(({ name, number, run, differs }) => {
    const buttons = number === undefined ? "" : el("span", { class: "row" }, button("Use", "Go back to", number, use), button("Remove", "Remove", number, drop));
    if (run.wrong) {
      return [name, run.wrong, "", "", "", differs, buttons];
    }
    const change = 100 * (run.figures.wall_clock_s / now.figures.wall_clock_s - 1);
    const against = run === now ? "" : `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} %`;
    return [name, clock(run.figures.wall_clock_s), against, clock(run.figures.exposed_communication_s), money(run.bill.total), differs, buttons];
  });
  const head = ["", "wall-clock", "against now", "exposed communication", "cost", "differs from now in", ""];
  fill(section, bars(Object.values(PARTS), drawn), table(head, cells, [1, 2, 3, 4]));
}
