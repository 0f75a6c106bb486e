// Moments are sent in UTC. Here they are shown in the zone of the reader's browser; UTC stays on hovering. Without
// this script, or in a browser that is set to UTC, nothing changes.
"use strict";
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Etc/UCT", "UCT"].includes(zone)) return;

  const two = (number) => String(number).padStart(2, "0");
  const MARK = / ?\(UTC\)/; // in a heading: what stands below it is not UTC any more
  const AFTER = /^(\s*)UTC\b/; // in a sentence, right behind the moment

  function show(moment) {
    const when = new Date(moment.dateTime);
    if (!moment.dateTime.includes("T") || Number.isNaN(when.getTime()) || moment.dataset.zone) return;
    const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
    moment.textContent = `${day} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
    moment.dataset.zone = zone;
    const behind = moment.nextSibling;
    if (behind && behind.nodeType === Node.TEXT_NODE) behind.data = behind.data.replace(AFTER, "$1").replace(/^\s+([.,])/, "$1");
    unmark(moment);
  }

  // The name of the field or column, which says UTC for readers without this script.
  function unmark(moment) {
    const cell = moment.closest("[data-label]");
    if (cell) {
      cell.dataset.label = cell.dataset.label.replace(MARK, "");
      const heading = cell.closest("table").tHead?.rows[0]?.cells[cell.cellIndex];
      if (heading) heading.textContent = heading.textContent.replace(MARK, "");
    }
    const term = moment.closest("dd")?.parentElement.querySelector("dt");
    if (term) term.textContent = term.textContent.replace(MARK, "");
  }

  function tell() {
    const content = document.getElementById("content");
    if (!content || document.getElementById("b-zone") || !content.querySelector("time[data-zone]")) return;
    const note = document.createElement("p");
    note.id = "b-zone";
    note.className = "b-zone";
    note.textContent = `Times are in your zone, ${zone}. Point at one to see it in UTC.`;
    content.append(note);
  }

  function all(root) {
    root.querySelectorAll("time[datetime]").forEach(show);
    tell();
  }

  document.addEventListener("DOMContentLoaded", () => {
    all(document);
    // What is fetched later is shown alike.
    new MutationObserver((changes) => {
      for (const change of changes)
        for (const node of change.addedNodes)
          if (node.nodeType === Node.ELEMENT_NODE) node.matches("time[datetime]") ? show(node) : all(node);
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
