// Charts that the browser draws from plain numbers: bars, lines, the timeline.
import { amount, clock, digits, el } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const TIMES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 432000,
  864000, 1728000, 4320000, 8640000, 31536000];
// Colours that a dark page has others for.
const ON_DARK = { "#1A1A1A": "var(--black)", "#882255": "var(--plum)", "#332288": "var(--indigo)" };
const LABEL_SPACE = 132;
const NARROW = 520;

function svg(tag, attributes, ...inside) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

/** Show a text beside the pointer, or nothing. */
export function tip(text, event) {
  const box = document.getElementById("tip");
  box.hidden = !text;
  if (text) {
    box.textContent = text;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(4, Math.min(event.clientY + 16, innerHeight - height - 8))}px`;
  }
}

function tipped(element, text) {
  element.addEventListener("pointermove", (event) => tip(text, event));
  element.addEventListener("pointerleave", () => tip(""));
  return element;
}

/** The legend: pairs of a class (or a colour) and a name. */
export function keys(pairs) {
  const box = ([kind, name]) =>
    el("i", /^#|^var/.test(kind) ? { class: "line", style: { background: kind } } : { class: kind });
  return el("p", { class: "keys" }, ...pairs.map((pair) => el("span", { class: "key" }, box(pair), pair[1])));
}

export const className = (part) => part.replaceAll(" ", "-");

/**
 * Bars of parts: rows of { name, lengths, end, own, limit, tip }, all on one scale. A name may be an element.
 */
export function bars(parts, rows) {
  const longest = Math.max(...rows.map((row) => Math.max(row.lengths.reduce((sum, one) => sum + one, 0), row.limit ?? 0)), 1e-12);
  const share = (length) => `${(100 * length) / longest}%`;
  return el("div", { class: "bars" }, ...rows.map((row) => tipped(
    el("div", { class: row.own ? "bar own" : "bar" },
      el("span", { class: "name", title: typeof row.name === "string" ? row.name : null }, row.name),
      el("div", { class: "track" },
        ...row.lengths.map((length, number) => el("i", { class: className(parts[number]), style: { width: share(length) } })),
        row.limit === undefined ? null : el("i", { class: "limit", style: { left: share(row.limit) } })),
      el("span", { class: "end" }, row.end)),
    row.tip)));
}

/**
 * Runtime against bandwidth. `found` is what the server answered; `colours` are the methods'; `own` the chosen one;
 * `pinned` lines of pinned settings, { name, points }.
 */
export function lineChart(found, { width, colours, own, pinned }) {
  const wide = width >= NARROW;
  const unit = (factor) => (found.bandwidth === null ? `× ${digits(factor, 4)}` : amount(found.bandwidth * factor, "B/s"));
  const [left, right, top, bottom] = [52, wide ? LABEL_SPACE : 10, 14, 40];
  const height = wide ? 330 : 260;
  const xs = found.lines.flatMap((line) => line.points.map((point) => point[0]));
  const [lowX, highX] = [Math.min(...xs), Math.max(...xs)];
  const inside = pinned.map((line) => ({ ...line, points: line.points.filter(([factor]) => factor >= lowX && factor <= highX) }));
  const all = [...found.lines.map((line) => ({ ...line, name: line.method })), ...inside.filter((line) => line.points.length)];
  const ys = all.flatMap((line) => line.points.map((point) => point[1]));
  const [lowY, highY] = [Math.min(...ys) / 1.15, Math.max(...ys) * 1.15];
  const x = (factor) => left + ((width - left - right) * Math.log(factor / lowX)) / Math.log(highX / lowX);
  const y = (seconds) => height - bottom - ((height - top - bottom) * Math.log(seconds / lowY)) / Math.log(highY / lowY);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0",
    "aria-label": "Runtime against bandwidth, a line for each method. Left and right arrow keys read values; the table below has all numbers." });
  for (const time of ticks(TIMES.filter((one) => one > lowY && one < highY), 7)) {
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(time), y2: y(time) }),
      svg("text", { class: "muted", x: left - 6, y: y(time) + 4, "text-anchor": "end" }, short(time)));
  }
  const base = found.bandwidth ?? 1;
  for (const value of ticks(decades(lowX * base, highX * base), Math.floor((width - left - right) / 72))) {
    const place = x(value / base);
    chart.append(svg("line", { class: "axis", x1: place, x2: place, y1: height - bottom, y2: height - bottom + 5 }),
      svg("text", { class: "muted", x: place, y: height - bottom + 18, "text-anchor": "middle" }, unit(value / base)));
  }
  const axis = found.bandwidth === null ? "all links, as multiples of what they are" : "bandwidth of every client, up and down";
  chart.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { class: "muted", x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, axis),
    svg("line", { class: "now", x1: x(1), x2: x(1), y1: top, y2: height - bottom }),
    svg("text", { class: "muted halo", x: x(1) + 4, y: top + 4 }, "now"));
  const path = (points) => points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(" ");
  const others = found.lines.filter((line) => line.method !== own);
  for (const line of [...others, ...found.lines.filter((line) => line.method === own)]) {
    chart.append(svg("polyline", { class: line.method === own ? "line own" : "line", points: path(line.points),
      stroke: colour(colours, line.method), "data-method": line.method }));
  }
  for (const line of all.slice(found.lines.length)) {
    chart.append(svg("polyline", { class: "line pinned", points: path(line.points) }));
  }
  if (wide) {
    const ends = all.map((line) => ({ name: line.name, at: y(line.points.at(-1)[1]) })).sort((one, other) => one.at - other.at);
    spread(ends, 14, top, height - bottom);
    for (const end of ends) {
      const text = svg("text", { x: width - right + 18, y: end.at + 4 }, end.name);
      if (end.name === own) {
        text.setAttribute("font-weight", "700");
      }
      chart.append(svg("line", { class: "line", x1: width - right + 4, x2: width - right + 14, y1: end.at, y2: end.at,
        stroke: colour(colours, end.name) }), text);
    }
  }
  if (found.hidden.factor && found.hidden.factor >= lowX) {
    const [px, py] = [x(found.hidden.factor), y(found.hidden.wall_clock_s)];
    const text = `${own} hidden from ${unit(found.hidden.factor)}`;
    const needed = 7 * text.length;
    const anchor = width - right - px > needed ? "start" : px - left > needed ? "end" : "middle";
    const beside = { start: px + 8, end: px - 8, middle: (left + width - right) / 2 }[anchor];
    chart.append(svg("circle", { class: "ring", cx: px, cy: py, r: 5.5, stroke: colour(colours, own) }),
      svg("text", { class: "halo", x: beside, y: py + 20, "text-anchor": anchor, "font-weight": "600" }, text));
  }
  readable(chart, found, all, { x, unit, top, bottom: height - bottom });
  const legend = wide ? [] : [keys(all.map((line) => [colour(colours, line.name), line.name]))];
  return [...legend, chart];
}

/** Values under the pointer, or where the arrow keys are. */
function readable(chart, found, all, { x, unit, top, bottom }) {
  const factors = [...new Set(found.lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
  const cross = svg("line", { class: "cross", y1: top, y2: bottom, visibility: "hidden" });
  chart.append(cross);
  let place = factors.findIndex((factor) => factor >= 1);
  const read = (event) => {
    const factor = factors[place];
    cross.setAttribute("visibility", "visible");
    cross.setAttribute("x1", x(factor));
    cross.setAttribute("x2", x(factor));
    const values = all.map((line) => [line.name, line.points.find((point) => point[0] === factor)?.[1]])
      .filter(([, seconds]) => seconds !== undefined).sort((one, other) => one[1] - other[1]);
    const text = `${unit(factor)}\n${values.map(([name, seconds]) => `${name}: ${clock(seconds)}`).join("\n")}`;
    tip(text, event);
    return text;
  };
  const away = () => {
    cross.setAttribute("visibility", "hidden");
    tip("");
  };
  chart.addEventListener("pointermove", (event) => {
    const at = event.clientX - chart.getBoundingClientRect().left;
    place = factors.reduce((best, factor, number) => (Math.abs(x(factor) - at) < Math.abs(x(factors[best]) - at) ? number : best), 0);
    read(event);
  });
  chart.addEventListener("pointerleave", away);
  chart.addEventListener("blur", away);
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      place = Math.max(0, Math.min(factors.length - 1, place + step));
      const box = chart.getBoundingClientRect();
      document.getElementById("said").textContent = read({ clientX: box.left + x(factors[place]), clientY: box.top + top });
    }
  });
}

/** The first rounds: two lanes a row, computing above and messages below; the critical path is outlined. */
export function timelineChart(found, width) {
  const narrow = width < NARROW;
  const left = narrow ? 92 : 150;
  const [right, row, top] = [14, 40, 6];
  const bottom = top + found.rows.length * row;
  const x = (time) => left + ((width - left - right) * time) / found.end;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${bottom + 36}`, role: "img",
    "aria-label": "What clients and the server do in the first rounds; the table below has the times." });
  const [unit, name] = found.end >= 18000 ? [3600, "hours"] : found.end >= 120 ? [60, "minutes"] : [1, "seconds"];
  const most = narrow ? 5 : 12;
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].map((one) => one * 10 ** Math.floor(Math.log10(found.end / unit / 20)))
    .find((one) => found.end / unit / one <= most);
  for (let time = 0; time <= found.end / unit + 1e-9; time += step) {
    chart.append(svg("line", { class: "grid", x1: x(time * unit), x2: x(time * unit), y1: top, y2: bottom }),
      svg("text", { class: "muted", x: x(time * unit), y: bottom + 15, "text-anchor": "middle" }, digits(time, 4)));
  }
  chart.append(svg("text", { class: "muted", x: (left + width - right) / 2, y: bottom + 31, "text-anchor": "middle" }, name));
  found.rows.forEach((one, number) => {
    const y = top + number * row;
    const lane = (kind) => (kind === "compute" ? y + 3 : y + 21);
    const box = (kind, start, end, more) =>
      svg("rect", { class: kind, x: x(start).toFixed(2), y: lane(kind), width: Math.max(0.6, x(end) - x(start)).toFixed(2), height: 15, ...more });
    chart.append(svg("line", { class: "grid", x1: 0, x2: width - right, y1: y + row - 1, y2: y + row - 1 }),
      label(one.name, left - 10, y + 24, narrow ? 13 : 21));
    for (const [kind, start, end, round, said] of one.spans) {
      chart.append(tipped(box(kind, start, end, {}), `${one.name}: ${said}`));
      if (kind === "compute" && x(end) - x(start) > 22) {
        chart.append(svg("text", { class: "inside", x: (x(start) + x(end)) / 2, y: lane(kind) + 12 }, round));
      }
    }
    for (const [kind, start, end] of one.path) {
      const shape = box("path", start, end, { y: lane(kind) });
      shape.style.pointerEvents = "none";
      chart.append(shape);
    }
  });
  return chart;
}

function label(text, right, y, most) {
  const shown = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  const element = svg("text", { x: right, y, "text-anchor": "end" }, shown);
  return shown === text ? element : tipped(element, text);
}

function colour(colours, name) {
  const own = colours[name] ?? "var(--muted)";
  return ON_DARK[own] ?? own;
}

/** 1, 2 and 5 times the powers of ten between two values. */
function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    found.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)).filter((value) => value >= low && value <= high));
  }
  return found;
}

/** At most so many of some values, evenly. */
function ticks(values, most) {
  const every = Math.ceil(values.length / most);
  return values.filter((_, number) => number % every === 0);
}

function short(seconds) {
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= unit) {
      return `${digits(seconds / unit, 3)} ${name}`;
    }
  }
  return `${seconds} s`;
}

/** Move labels apart that would touch, from above and then from below. */
function spread(labels, gap, top, bottom) {
  labels.forEach((one, number) => {
    one.at = Math.max(one.at, number ? labels[number - 1].at + gap : top);
  });
  for (let number = labels.length - 1; number >= 0; number -= 1) {
    labels[number].at = Math.min(labels[number].at, number < labels.length - 1 ? labels[number + 1].at - gap : bottom);
  }
}
