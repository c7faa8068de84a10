// Times, sizes and elements, written as everywhere else in paraSim.

/** Write a duration in the unit in which it is a handy number. */
export function clock(seconds) {
  for (const [limit, unit, name] of [[259200, 86400, "d"], [18000, 3600, "h"], [120, 60, "min"]]) {
    if (seconds >= limit) {
      return `${(seconds / unit).toFixed(1)} ${name}`;
    }
  }
  return `${digits(seconds, 3)} s`;
}

/** Write an amount in the decimal prefix with which it is a handy number. */
export function amount(size, unit = "B") {
  for (const [limit, prefix] of [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= limit) {
      return `${digits(size / limit, 4)} ${prefix}${unit}`;
    }
  }
  return `${digits(size, 4)} ${unit}`;
}

export function digits(number, most) {
  return String(Number(Number(number).toPrecision(most)));
}

export function money(dollars) {
  return dollars >= 1000 ? `${Math.round(dollars).toLocaleString("en")} USD` : `${digits(dollars, 3)} USD`;
}

/** A moment as people say it: `Friday 18:00`, with the date where that is not within a week. */
export function moment(date) {
  const near = Math.abs(date - Date.now()) < 6 * 86400e3;
  const day = near ? { weekday: "long" } : { weekday: "short", day: "numeric", month: "short", year: "numeric" };
  return date.toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit" });
}

/** Make an element: attributes by name (functions are listeners), then what is in it. */
export function el(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (name === "style") {
      Object.assign(element.style, value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...inside.filter((one) => one !== null && one !== undefined));
  return element;
}

/** A table; the columns in `numbers` are aligned right. */
export function table(head, rows, numbers = [], foot = null) {
  const cell = (tag, text, column) =>
    el(tag, { class: numbers.includes(column) ? "number" : null, scope: tag === "th" ? "col" : null }, text);
  const line = (tag) => (row) => el("tr", {}, ...row.map((text, column) => cell(tag, text, column)));
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "table" },
    el("table", {}, el("thead", {}, line("th")(head)), el("tbody", {}, ...rows.map(line("td"))),
      foot && el("tfoot", {}, line("td")(foot))));
}

/** The numbers behind a chart, folded away. */
export function numbers(...inside) {
  return el("details", {}, el("summary", {}, "The numbers behind it"), ...inside);
}

export function notes(texts) {
  return texts.map((text) => el("p", { class: "note" }, text));
}
