// Keeps the Live page up to date: a stream of rows and figures that the server has rendered.
"use strict";

const live = document.getElementById("live");
const rows = document.getElementById("live-rows");
const figures = document.getElementById("live-figures");
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const LOST_MS = 3000; // streams are reopened every minute, which is not worth a message
const AGAIN_MS = 10000;

let source = null;
let paused = false;
let timer = 0;

// Screen readers announce every change, so change the text only if it differs.
function say(text, isBad = false) {
  state.className = isBad ? "warnings" : "hint";
  if (state.textContent !== text) state.textContent = text;
}

function later(does, ms) {
  clearTimeout(timer);
  timer = setTimeout(does, ms);
}

function heard() {
  clearTimeout(timer);
  timer = 0;
}

function close() {
  heard();
  source?.close();
  source = null;
}

function open() {
  close();
  source = new EventSource(live.dataset.from);
  source.addEventListener("begin", (event) => {
    heard();
    rows.innerHTML = event.data;
    say("Live.");
  });
  source.addEventListener("cut", () => {
    heard();
    say("Cut off: Kafka or Redis does not answer. The data below is old; the page continues by itself.", true);
  });
  source.addEventListener("rows", (event) => {
    rows.insertAdjacentHTML("afterbegin", event.data);
    while (rows.children.length > Number(rows.dataset.most)) rows.lastElementChild.remove();
  });
  source.addEventListener("figures", (event) => { figures.innerHTML = event.data; });
  source.addEventListener("full", () => {
    close();
    say("There are too many viewers now. Trying again.");
    later(open, AGAIN_MS);
  });
  source.addEventListener("ended", () => {
    close();
    pause.hidden = true;
    say("You are signed out. ");
    const link = document.createElement("a");
    link.href = live.dataset.signIn;
    link.textContent = "Sign in";
    state.append(link);
  });
  source.addEventListener("error", lost);
}

function lost() {
  if (source.readyState === EventSource.CLOSED) { // the browser gave up
    say("Connection lost. Trying again.", true);
    later(open, AGAIN_MS);
  } else if (!timer) {
    later(() => say("Connection lost. Trying again.", true), LOST_MS);
  }
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Resume" : "Pause";
  if (paused) {
    close();
    say("Paused.");
  } else {
    open();
  }
});

// A browser has six connections to a host: hidden pages keep none.
document.addEventListener("visibilitychange", () => {
  if (paused || pause.hidden) return;
  if (document.hidden) close();
  else open();
});

pause.hidden = false;
document.getElementById("live-refresh").hidden = true;
open();
