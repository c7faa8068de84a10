"use strict";
// Moves the bars of "What if?" to what was computed for the places of the sliders, and opens all tables for print.
(function () {
  for (const name of ["beforeprint", "afterprint"]) {
    window.addEventListener(name, () => {
      for (const details of document.querySelectorAll("details")) {
        if (name === "beforeprint") {
          details.dataset.wasOpen = details.open;
          details.open = true;
        } else {
          details.open = details.dataset.wasOpen === "true";
        }
      }
    });
  }

  const data = document.getElementById("what-if-data");
  if (!data) {
    return;
  }
  const whatIf = JSON.parse(data.textContent);
  const sliders = whatIf.places.map((_, number) => document.getElementById(`slider-${number}`));
  const outputs = whatIf.places.map((_, number) => document.getElementById(`output-${number}`));
  const bars = document.querySelectorAll("#what-if-chart .bar");
  const rows = document.querySelectorAll("#what-if-chart tbody tr");
  const said = document.getElementById("what-if-said");

  function move() {
    const places = sliders.map((slider) => Number(slider.value));
    sliders.forEach((slider, number) => {
      const text = whatIf.places[number][places[number]];
      outputs[number].textContent = text;
      slider.setAttribute("aria-valuetext", text);
    });
    const cells = whatIf.cells[places[0]][places.length > 1 ? places[1] : 0];
    cells.forEach(([shares, texts], bar) => {
      bars[bar].querySelectorAll("i").forEach((box, part) => {
        box.style.width = `${shares[part]}%`;
      });
      bars[bar].querySelector(".end").textContent = texts[texts.length - 2];
      texts.forEach((text, column) => {
        rows[bar].cells[column + 1].textContent = text;
      });
    });
    return cells;
  }

  function say(cells) {
    said.textContent = cells.map(([, texts], bar) => `${whatIf.names[bar]}: ${texts[texts.length - 2]}`).join("; ");
  }

  const beginning = sliders.map((slider) => slider.value);
  for (const slider of sliders) {
    slider.addEventListener("input", move);
    // Told once the slider rests, not at every place that it passes.
    slider.addEventListener("change", () => say(move()));
  }
  document.getElementById("what-if-reset").addEventListener("click", () => {
    sliders.forEach((slider, number) => {
      slider.value = beginning[number];
    });
    say(move());
  });
})();
