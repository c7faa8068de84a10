// The scenario as a form: what is typed goes into its fields as it is, and the server says what is wrong with it.
import { at } from "./state.js";
import { amount, digits, el } from "./text.js";

const LINKS = { low: 5, high: 10, steps: 500 };
const SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64];
const COUNTS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 64, 80, 100, 150, 200, 300, 500, 1000];
const WIDTHS = [0.5, 1, 2, 4, 8, 16];
const SPEEDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 8, 10];
const NEW_GROUP = { count: 1, uplink: "100MB/s" };

/** What stands in a field, as it was typed: a number where it is one, nothing where it is empty. */
export function typed(text) {
  const plain = text.trim();
  if (plain === "") {
    return undefined;
  }
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : plain;
}

export class Form {
  /** `choices` are what the server offers; `change(path, value)` is told what was changed, `open` what to begin with. */
  constructor(form, choices, { change, computeOn, open, links, text }) {
    Object.assign(this, { form, choices, change, computeOn, open, links, text, fields: {}, full: null, rates: [], computing: { profiles: [], predicted: [] } });
    this.fleet = "";
    this.shown = [];
    form.addEventListener("submit", (event) => event.preventDefault());
    this.build();
  }

  build() {
    const { models, methods, points, devices } = this.choices;
    this.start = el("select", { id: "start", change: () => this.open(this.start.value) }, el("option", { value: "" }, "Another scenario …"),
      ...Object.keys(points).map((name) => el("option", { value: name }, name)));
    const file = (id, label, done, title) => {
      const input = el("input", { type: "file", id, accept: ".yaml,.yml,.toml,.json", hidden: true, change: async () => {
        const [chosen] = input.files;
        if (chosen) {
          done(chosen.name, await chosen.text());
        }
        input.value = "";
      } });
      return [el("button", { type: "button", title, click: () => input.click() }, label), input];
    };
    this.groups = el("div", {});
    this.yaml = el("textarea", { id: "yaml", spellcheck: "false", "aria-label": "The scenario as YAML", input: () => this.text(this.yaml.value) });
    this.form.replaceChildren(
      el("fieldset", {}, el("legend", {}, "Start from"), this.start,
        el("div", { class: "row" }, ...file("open", "Open a file …", this.open, "A scenario: YAML, TOML or JSON"),
          ...file("open-links", "Links from a file …", this.links, "The fleet alone, as `paraSim import links` writes it, or of another scenario"))),
      el("fieldset", {}, el("legend", {}, "Model and method"),
        this.choice(["model"], "Model", models.map((name) => [name, name])),
        this.choice(["method", "name"], "Method", Object.keys(methods).map((name) => [name, name])),
        this.summary = el("p", { class: "note" }),
        this.compute(),
        this.slider(["blocks", "layers"], "Block layers", WIDTHS)),
      el("fieldset", {}, el("legend", {}, "A local update"),
        this.slider(["local", "batch_size"], "Batch size", SIZES),
        this.slider(["local", "steps"], "Steps", COUNTS),
        this.input(["local", "sequence_length"], "Tokens each"),
        this.slider(["rounds"], "Rounds", COUNTS)),
      el("fieldset", {}, el("legend", {}, "Fleet"), this.groups,
        el("button", { type: "button", id: "add-group", click: () => this.change(["fleet"], [...this.ownFleet(), { ...NEW_GROUP, name: `group${this.ownFleet().length}` }]) }, "Add a group")),
      el("details", {}, el("summary", {}, "Server and participation"),
        this.input(["server", "egress"], "Egress", "unlimited"), this.input(["server", "ingress"], "Ingress", "unlimited"),
        this.input(["server", "aggregation"], "Aggregation"), this.input(["participation", "fraction"], "Share of clients", "everyone")),
      el("details", {}, el("summary", {}, "Prices and power"),
        ...[["gpu_hour", "Device hour"], ["download", "Download"], ["upload", "Upload"], ["link_month", "Link month"], ["kilowatt_hour", "kWh"]]
          .map(([name, label]) => this.input(["prices", name], label)),
        this.input(["power", "compute"], "Computing"), this.input(["power", "idle"], "Idle")),
      el("details", { id: "text" }, el("summary", {}, "All fields, as YAML"), this.field(["yaml"], null, this.yaml)),
      el("datalist", { id: "devices" }, ...devices.map((name) => el("option", { value: name }))));
  }

  /** A labelled control with a place for what is wrong with it. */
  field(path, label, ...controls) {
    const id = `f-${path.join("-")}`;
    controls.find((one) => !one.id || one.id === "yaml")?.setAttribute("aria-describedby", `${id}-problem`);
    return el("div", { class: "field", "data-path": path.join(".") },
      label === null ? null : el("label", { for: id }, label), ...controls, el("p", { class: "problem", id: `${id}-problem`, hidden: true }));
  }

  input(path, label, placeholder = null, list = null) {
    const input = el("input", { type: "text", id: `f-${path.join("-")}`, list, autocomplete: "off", spellcheck: "false",
      input: () => this.change(path, typed(input.value)) });
    this.shown.push(() => {
      this.put(input, at(this.fields, path));
      input.placeholder = placeholder ?? at(this.full, path) ?? "";
    });
    return this.field(path, label, input);
  }

  choice(path, label, options) {
    const select = el("select", { id: `f-${path.join("-")}`, change: () => this.change(path, select.value) });
    this.shown.push(() => {
      const own = String(this.value(path) ?? "");
      const all = options.some(([value]) => value === own) ? options : [[own, own], ...options];
      select.replaceChildren(...all.map(([value, name]) => el("option", { value, selected: value === own }, name)));
    });
    return this.field(path, label, select);
  }

  /** What computes, in all groups: a profile that covers the scenario, a device whose times are predicted, or given seconds. */
  compute() {
    const seconds = el("input", { type: "text", id: "f-compute-seconds", "aria-label": "Seconds of a local update", placeholder: "such as 30s",
      input: () => this.change(["compute"], { seconds: typed(seconds.value) ?? null }) });
    const select = el("select", { id: "f-compute", change: () => {
      const [kind, number] = select.value.split(" ");
      this.computeOn(kind === "given" ? { seconds: "30s" } : this.computing[kind][Number(number)].compute);
    } });
    this.shown.push(() => {
      const own = at(this.fields, ["compute"]) ?? {};
      const given = own.seconds !== undefined && own.seconds !== null;
      const groups = this.ownFleet().map((group) => group?.device).filter((device) => device);
      const named = own.device ?? own.profile ?? (groups.length ? null : "paper-a100");
      const option = (kind) => (one, number) => el("option", { value: `${kind} ${number}`,
        selected: !given && named !== null && (one.compute.device ?? one.compute.profile) === named }, one.name);
      const { profiles, predicted } = this.computing;
      const known = [...profiles, ...predicted].some((one) => (one.compute.device ?? one.compute.profile) === named);
      select.replaceChildren(
        ...(known || given ? [] : [el("option", { value: "", selected: true, disabled: true }, named ?? "as the groups say")]),
        el("optgroup", { label: "By a profile" }, ...profiles.map(option("profiles"))),
        el("optgroup", { label: "Predicted, for a device that nobody measured" }, ...predicted.map(option("predicted"))),
        el("option", { value: "given", selected: given }, "seconds that you give"));
      seconds.hidden = !given;
      const written = given && typeof own.seconds === "object";
      this.put(seconds, written ? JSON.stringify(own.seconds) : own.seconds, written);
    });
    return this.field(["compute"], "Device", el("div", {}, select, seconds));
  }

  /** A slider over some values, with a text field that takes any. */
  slider(path, label, values) {
    const id = `f-${path.join("-")}`;
    const range = el("input", { type: "range", id: `${id}-slider`, min: 0, max: values.length - 1, step: 1, "aria-label": label,
      input: () => {
        input.value = values[range.value];
        range.setAttribute("aria-valuetext", input.value);
        this.change(path, values[range.value]);
      } });
    const input = el("input", { type: "text", inputmode: "decimal", id, input: () => this.change(path, typed(input.value)) });
    this.shown.push(() => {
      const own = this.value(path);
      this.put(input, own);
      this.place(range, nearest(values, Number(own)), String(own));
    });
    return this.field(path, label, el("div", { class: "both" }, range, input));
  }

  /** The same for a link's bandwidth, by decades. */
  link(path, label, which) {
    const id = `f-${path.join("-")}`;
    const text = (position) => amount(Number((10 ** (LINKS.low + (position * (LINKS.high - LINKS.low)) / LINKS.steps)).toPrecision(3)), "B/s").replace(" ", "");
    const range = el("input", { type: "range", id: `${id}-slider`, min: 0, max: LINKS.steps, step: 1, "aria-label": `${label} of group ${path[1]}`,
      input: () => {
        input.value = text(Number(range.value));
        range.setAttribute("aria-valuetext", input.value);
        this.change(path, input.value);
      } });
    const input = el("input", { type: "text", id, placeholder: which ? "like the uplink" : "100MB/s", autocomplete: "off",
      input: () => this.change(path, typed(input.value)) });
    this.shown.push(() => {
      const own = at(this.fields, path);
      const varies = own !== null && typeof own === "object";
      this.put(input, varies ? "varies" : own, varies);
      const rate = this.rates[path[1]]?.[which];
      range.disabled = varies;
      if (rate) {
        const position = Math.round(((Math.log10(rate) - LINKS.low) * LINKS.steps) / (LINKS.high - LINKS.low));
        this.place(range, Math.max(0, Math.min(LINKS.steps, position)), amount(rate, "B/s"));
      }
    });
    return this.field(path, label, el("div", { class: "both" }, range, input));
  }

  /** The groups' controls, made anew where their number changes. */
  buildFleet() {
    this.shown = this.shown.filter((one) => !one.ofFleet);
    const before = this.shown.length;
    const fleet = this.ownFleet();
    this.groups.replaceChildren(...fleet.map((_, number) => {
      const path = (name) => ["fleet", number, name];
      const name = el("input", { type: "text", "aria-label": `Name of group ${number}`, input: () => this.change(path("name"), name.value) });
      this.shown.push(() => this.put(name, this.value(path("name")) ?? ""));
      return el("div", { class: "group" },
        el("div", { class: "head" }, name, el("button", { type: "button", "aria-label": `Remove group ${number}`, disabled: fleet.length < 2,
          click: () => this.change(["fleet"], this.ownFleet().filter((_, other) => other !== number)) }, "Remove")),
        this.slider(path("count"), "Clients", COUNTS), this.link(path("uplink"), "Uplink", 0), this.link(path("downlink"), "Downlink", 1),
        this.input(path("latency"), "Latency"), this.slider(path("speed"), "Speed", SPEEDS),
        this.input(path("device"), "Device", "as above", "devices"));
    }));
    this.shown.slice(before).forEach((show) => Object.assign(show, { ofFleet: true }));
  }

  /** The fleet as the fields have it; the default one, written out, where they have none. */
  ownFleet() {
    return this.fields.fleet ?? [{ name: "client", count: 10, uplink: "100MB/s" }];
  }

  /** What is shown of a field: what was given, else what is there by default. */
  value(path) {
    if (path.join(".") === "method.name") {
      return at(this.fields, path) ?? (typeof this.fields.method === "string" ? this.fields.method : at(this.full, path));
    }
    const own = at(this.fields, path) ?? at(this.full, path);
    if (path.join(".") === "blocks.layers" && (own === null || own === undefined)) {
      return at(this.fields, ["blocks", "count"]) ? "" : 2;
    }
    return own;
  }

  put(input, value, locked = false) {
    input.disabled = locked;
    // Nobody's typing is overwritten.
    if (input !== document.activeElement) {
      input.value = value ?? "";
    }
  }

  place(range, position, text) {
    if (range !== document.activeElement) {
      range.value = position;
    }
    range.setAttribute("aria-valuetext", text);
  }

  /** Show a scenario; `full` and the rest is what the server answered to it, if it has. */
  show(fields, answer = null) {
    this.fields = fields;
    if (answer) {
      Object.assign(this, { full: answer.scenario, rates: answer.rates });
      if (this.yaml !== document.activeElement) {
        this.yaml.value = answer.yaml;
      }
    }
    if (Array.isArray(this.ownFleet()) && this.fleet !== String(this.ownFleet().length)) {
      this.fleet = String(this.ownFleet().length);
      this.buildFleet();
    }
    this.shown.forEach((show) => show());
    const method = this.value(["method", "name"]);
    this.summary.textContent = this.choices.methods[method] ?? "";
    this.start.value = "";
  }

  /** Offer what the scenario can be computed on. */
  offer(computing) {
    this.computing = computing;
    this.shown.forEach((show) => show());
  }

  /** Show what is wrong at the fields that it is about; return what is about none. */
  wrong(problems) {
    for (const field of this.form.querySelectorAll(".field")) {
      field.classList.remove("wrong");
      field.querySelector(".problem").hidden = true;
    }
    const left = [];
    for (const problem of problems) {
      const fields = [...this.form.querySelectorAll(".field")].filter(({ dataset: { path } }) =>
        path === problem.field || problem.field.startsWith(`${path}.`) || path.startsWith(`${problem.field}.`));
      const [field] = problem.field ? fields : [];
      if (!field) {
        left.push(problem);
        continue;
      }
      field.classList.add("wrong");
      const said = field.querySelector(".problem");
      said.textContent = said.hidden ? problem.text : `${said.textContent}; ${problem.text}`;
      said.hidden = false;
      const folded = field.closest("details");
      if (folded) {
        folded.open = true;
      }
    }
    return left;
  }
}

function nearest(values, value) {
  return values.reduce((best, one, number) => (Math.abs(Math.log(one / value)) < Math.abs(Math.log(values[best] / value)) ? number : best), 0);
}
