// Every screen of `fleetkey serve`: how it looks, with the keyboard alone, and without a script.

import { after, before } from "node:test";
import { people, rotated, screenTests } from "./passes.js";
import { beginCampaign, screensOf } from "./screens.js";
import { browser, controlled, open } from "./support.js";

const TOKEN = "a token of an admin";

let chrome, site;

before(async () => {
  chrome = await browser();
  // Another root of the topics is another version of each policy.
  const again = ["--topic-root", "plant"];
  const serve = await controlled({ connected: ["press-1"], away: ["press-2"], again, environment: { API_TOKEN: TOKEN } });
  site = { ...serve, name: "serve", token: TOKEN, device: "press-1", spare: "press-2" };
  site.people = await people(chrome, site);
  await rotated(site);
  await campaigned(site);
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

/** The controller has listed the account, and a campaign is under way. */
async function campaigned(site) {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/inventory`);
  await page.getByText("The account was listed").waitFor();
  await beginCampaign(page, site, "winter", site.spare);
  await page.close();
}

for (const screen of screensOf("serve")) screenTests(screen, () => site, "of serve");
