// The menu of files: scenario, tables, pictures and the report.
import { ask } from "./ask.js";
import { el } from "./text.js";

/** Fill the menu; `fields()` is the scenario, `tell` is told what is wrong with it. */
export function offerFiles(menu, pictures, fields, tell) {
  async function save(file, button) {
    const name = button.textContent;
    button.textContent = `${name} …`;
    try {
      const link = el("a", { href: URL.createObjectURL(await ask("download", { fields: fields(), file })), download: file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      tell(error.problems);
    } finally {
      button.textContent = name;
    }
  }

  const download = (file, name) => el("button", { type: "button", class: "plain", "data-file": file, click: (event) => save(file, event.currentTarget) }, name);
  menu.querySelector("div").append(
    download("scenario.yaml", "Scenario (YAML)"), download("results.csv", "All methods (CSV)"), download("timeline.csv", "Timeline (CSV)"),
    download("report.html", "Report (HTML)"),
    ...Object.entries(pictures).map(([name, formats]) => el("span", { class: "formats" }, el("span", {}, name),
      ...formats.map((format) => download(`${name}.${format}`, format.toUpperCase())))));
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) {
      menu.open = false;
    }
  });
}
