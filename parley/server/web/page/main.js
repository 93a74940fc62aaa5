/** Begins: draws the buttons, and opens the chat or the gate. */

import { App } from "./app.js";
import { draw } from "./icons.js";
import { ownMemory } from "./memory.js";
import { twelveHours } from "./words.js";

for (const place of document.querySelectorAll("[data-icon]")) place.append(draw[place.dataset.icon]());
if (twelveHours) document.documentElement.dataset.clock = "12";
new App(ownMemory()).entrance.begin();
