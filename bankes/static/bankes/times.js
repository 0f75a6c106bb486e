// Moments are sent in UTC. Here they are shown in the zone that the reader has chosen, or else in that of the browser;
// UTC stays on hovering. Without this script, or where that zone is UTC, nothing changes.
"use strict";
(() => {
  const IS_UTC = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Etc/UCT", "UCT"];
  const MARK = / ?\(UTC\)/; // in a heading: what stands below it is not UTC any more
  const AFTER = /^(\s*)UTC\b/; // in a sentence, right behind the moment

  let zone, parts;

  // A zone that this browser does not know is passed over.
  function clock() {
    const chosen = document.querySelector("meta[name=bank-time-zone]")?.content;
    for (const timeZone of chosen ? [chosen, undefined] : [undefined]) {
      try {
        const digits = { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
        const format = new Intl.DateTimeFormat("en-GB", { timeZone, year: "numeric", hourCycle: "h23", ...digits });
        const parts = (when) => Object.fromEntries(format.formatToParts(when).map(({ type, value }) => [type, value]));
        return { zone: timeZone ?? format.resolvedOptions().timeZone, parts };
      } catch {}
    }
    return {};
  }

  function show(moment) {
    const when = new Date(moment.dateTime);
    if (!moment.dateTime.includes("T") || Number.isNaN(when.getTime()) || moment.dataset.zone) return;
    const { year, month, day, hour, minute, second } = parts(when);
    moment.textContent = `${year}-${month}-${day} ${hour}:${minute}:${second}`;
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
    ({ zone, parts } = clock());
    if (!zone || IS_UTC.includes(zone)) return;
    all(document);
    // What is fetched later is shown alike.
    new MutationObserver((changes) => {
      for (const change of changes)
        for (const node of change.addedNodes)
          if (node.nodeType === Node.ELEMENT_NODE) node.matches("time[datetime]") ? show(node) : all(node);
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
