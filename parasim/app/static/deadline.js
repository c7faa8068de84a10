// "What would meet Friday 18:00?": a form of `paraSim plan`.
import { ask } from "./ask.js";
import { clock, el, moment, notes, table } from "./text.js";

const MINUTE = 60e3;

/** A moment for a field of the browser, in its own time zone. */
function local(date) {
  return new Date(date - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

function friday() {
  const date = new Date();
  date.setDate(date.getDate() + ((5 - date.getDay() + 7) % 7));
  date.setHours(18, 0, 0, 0);
  if (date - Date.now() < MINUTE) {
    date.setDate(date.getDate() + 7);
  }
  return date;
}

export class Deadline {
  /** `scenario()` is what is asked about; `quantities` what may be solved for, and which end of it is wanted. */
  constructor(section, quantities, scenario) {
    Object.assign(this, { section, scenario, seconds: null, stop: null });
    this.until = el("input", { type: "datetime-local", id: "deadline-until", value: local(friday()), input: () => this.tell() });
    this.from = el("input", { type: "datetime-local", id: "deadline-from", input: () => this.tell() });
    this.quantity = el("select", { id: "deadline-quantity" },
      ...Object.entries(quantities).map(([name, which]) => el("option", { value: name }, `${which} ${name.replace("-", " ")}`)));
    this.methods = el("select", { id: "deadline-methods" }, el("option", { value: "" }, "the chosen method"), el("option", { value: "all" }, "all methods"));
    this.button = el("button", { type: "submit", class: "strong" }, "Ask");
    this.verdict = el("p", { id: "deadline-verdict" });
    this.answer = el("div", { role: "status" });
    section.querySelector("div").append(
      el("form", { submit: (event) => { event.preventDefault(); this.ask(); } },
        el("label", {}, "Finished by", this.until), el("label", {}, "Started (now if empty)", this.from),
        el("label", {}, "Solve for", this.quantity), el("label", {}, "Methods", this.methods), this.button),
      this.verdict, this.answer);
  }

  /** Seconds that there are, or null where the fields say none. */
  within() {
    const [start, end] = [this.from.value ? new Date(this.from.value) : new Date(), new Date(this.until.value)];
    return end > start ? (end - start) / 1000 : null;
  }

  /** Say whether the run as it is meets the deadline. */
  tell(seconds = this.seconds) {
    this.seconds = seconds;
    const within = this.within();
    this.verdict.className = "";
    if (within === null) {
      this.verdict.textContent = "Finished by: must be a moment after the start.";
      this.verdict.className = "bad";
    } else if (seconds !== null) {
      const start = this.from.value ? new Date(this.from.value) : new Date();
      const end = moment(new Date(start.getTime() + seconds * 1000));
      const left = within - seconds;
      this.verdict.textContent = left >= 0
        ? `As it is, the run ends on ${end}: ${clock(left)} to spare.`
        : `As it is, the run ends on ${end}: ${clock(-left)} too late.`;
      this.verdict.className = left >= 0 ? "good" : "bad";
    }
  }

  /** The scenario has changed: what was answered is about another one. */
  changed() {
    this.answer.classList.toggle("stale", this.answer.childElementCount > 0);
    if (this.answer.classList.contains("stale") && !this.answer.querySelector(".outdated")) {
      this.answer.prepend(el("p", { class: "note outdated" }, "The scenario has changed since; ask again."));
    }
  }

  async ask() {
    if (this.stop) {
      this.stop.abort();
      return;
    }
    const within = this.within();
    this.tell();
    if (within === null) {
      return;
    }
    this.stop = new AbortController();
    this.button.textContent = "Stop";
    this.answer.replaceChildren(el("p", { class: "note" }, "Planning: every answer is simulated once more …"));
    const asked = { fields: this.scenario(), within: `${Math.floor(within)}s`, solve_for: this.quantity.value, methods: this.methods.value };
    try {
      const found = await ask("deadlines", asked, this.stop.signal);
      this.answer.replaceChildren(el("p", { class: "verdict" }, found.question), table(found.columns, found.rows), ...notes(found.notes));
    } catch (error) {
      const said = error.name === "AbortError" ? [{ text: "Stopped." }] : error.problems;
      this.answer.replaceChildren(...said.map(({ text }) => el("p", { class: "problem" }, text)));
    } finally {
      this.stop = null;
      this.button.textContent = "Ask";
    }
  }
}
