// The controller's dashboard where something asks for attention: no rotation is as late as all of this fleet's.

import { after, before } from "node:test";
import { people, screenTests } from "./passes.js";
import { screensOf } from "./screens.js";
import { browser, controlled } from "./support.js";

let chrome, site;

before(async () => {
  chrome = await browser();
  const flags = ["--rotate-every", "1s", "--rotation-jitter", "0s"];
  site = { ...(await controlled({ connected: ["press-1"], away: ["press-2"], flags })), name: "late" };
  Object.assign(site, { device: "press-1", spare: "press-2" });
  site.people = await people(chrome, site);
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

for (const screen of screensOf("late")) screenTests(screen, () => site, "of serve");
