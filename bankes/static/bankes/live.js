// Refreshes the live part of a page every data-every milliseconds, ever less often while nothing answers, until what it
// shows has ended.
(() => {
  "use strict";
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  const FIRST = Number(live.dataset.every), LONGEST = 15 * FIRST, GIVE_UP = 20;
  let pause = FIRST, failures = 0;

  const look = async () => {
    if (document.hidden) return setTimeout(look, FIRST);
    try {
      const answer = await fetch(live.dataset.stateUrl, {
        headers: { Accept: "application/json" },
        redirect: "error",
        signal: AbortSignal.timeout(10000),
      });
      if (!answer.ok) throw new Error(String(answer.status));
      const told = await answer.json();
      if (told.ended) return location.reload();
      live.innerHTML = told.live;
      stale.hidden = true;
      failures = 0;
      pause = FIRST;
    } catch {
      failures += 1;
      stale.hidden = false;
      pause = Math.min(LONGEST, pause * 2);
      if (failures >= GIVE_UP) return undefined;
    }
    return setTimeout(look, pause);
  };
  setTimeout(look, FIRST);
})();
