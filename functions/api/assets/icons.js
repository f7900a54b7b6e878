// Pictures of a line each, in the colour of the text beside them. They say nothing that a word does not say.

import { svg } from "./dom.js";

const PATHS = {
  add: "M12 5v14M5 12h14",
  alert: "M12 9v4m0 3.5v.01M10.3 4.3 2.6 17.6A2 2 0 0 0 4.3 20.6h15.4a2 2 0 0 0 1.7-3L13.7 4.3a2 2 0 0 0-3.4 0z",
  approve: "M9 12l2 2 4-4M12 3l7 3v5c0 4.6-3 8-7 10-4-2-7-5.4-7-10V6z",
  audit: "M8 6h12M8 12h12M8 18h12M4 6v.01M4 12v.01M4 18v.01",
  back: "M15 6l-6 6 6 6",
  bell: "M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15zM10 21h4",
  bot: "M7 8h10a3 3 0 0 1 3 3v5a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3v-5a3 3 0 0 1 3-3zM12 8V4M9 13v.5M15 13v.5",
  browser: "M4 5h16v14H4zM4 9h16M7 7v.01M10 7v.01",
  chart: "M4 20h16M7 16v-5M12 16V6M17 16v-8",
  chat: "M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  clip: "M8 12.5l6.6-6.6a3 3 0 0 1 4.2 4.2l-8 8a5 5 0 0 1-7-7L11.5 3.5",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  dead: "M4 6h16v12H4zM4 7l8 6 8-6M9 17l6-6",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  key: "M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM11 12l8-8M16 7l3 3",
  leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  link: "M9 15l6-6M10 6l1.5-1.5a4.2 4.2 0 0 1 6 6L16 12M14 18l-1.5 1.5a4.2 4.2 0 0 1-6-6L8 12",
  menu: "M4 7h16M4 12h16M4 17h16",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3 2.8 3 5.5",
  send: "M4 12l16-8-5 16-4-6z",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  stop: "M7 7h10v10H7z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4 12H2M22 12h-2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  switch: "M8 10l4-4 4 4M8 14l4 4 4-4",
  tool: "M14 7a4 4 0 0 1 5-3l-2.5 2.5 1 2 2 1L22 7a4 4 0 0 1-5.5 4.7L8 20a2.1 2.1 0 0 1-3-3l8.5-8.3A4 4 0 0 1 14 7z",
};

/** A picture beside a word. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}
