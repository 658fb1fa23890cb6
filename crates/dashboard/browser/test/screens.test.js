// Every screen of both programs: how it looks, with the keyboard alone, and without a script. And that there is no other screen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { keyboard, looks, people, plain } from "./passes.js";
import { NO_PAGES, SCREENS, beginCampaign } from "./screens.js";
import { arrives, browser, controlled, fleet, open, sound, told } from "./support.js";

const TOKEN = "a token of an admin";
const environment = { API_TOKEN: TOKEN };

let chrome;
const sites = {};

before(async () => {
  chrome = await browser();
  // Rotated on order alone: what a page offers still stands when it is ordered, however slow the machine.
  const up = fleet({ environment }, "--devices", "12", "--rotate-every", "1h", "--soak", "2s");
  // Another root of the topics is another version of each policy.
  const serve = controlled({ connected: ["press-1"], away: ["press-2"], again: ["--topic-root", "plant"], environment });
  sites.up = { ...(await up), name: "up", token: TOKEN, device: "device-0001", spare: "device-0012" };
  sites.serve = { ...(await serve), name: "serve", token: TOKEN, device: "press-1", spare: "press-2" };
  for (const site of Object.values(sites)) site.people = await people(chrome, site);
  for (const site of Object.values(sites)) await rotated(site);
  await campaigned(sites.serve);
});

after(async () => {
  await chrome?.close();
  for (const site of Object.values(sites)) await site.stop();
});

/** A device has rotated, and its old certificate was retired. */
async function rotated(site) {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/devices/${site.device}`);
  await page.getByText("connected", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Rotate now" }).click();
  await page.locator("#rotation .badge", { hasText: "done" }).first().waitFor();
  await page.close();
}

/** The controller has listed the account, and a campaign is under way. */
async function campaigned(site) {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/inventory`);
  await page.getByText("The account was listed").waitFor();
  await beginCampaign(page, site, "winter", site.spare);
  await page.close();
}

test("the table of screens has every address that the router answers, and no other", () => {
  const source = readFileSync(new URL("../../src/router/routes.rs", import.meta.url), "utf8");
  const listed = (name) => source.match(new RegExp(`const ${name}: .*?= \\[(.*?)\\];`, "s"))[1].match(/"(.*?)"/g);
  const list = (name, method) => listed(name).map((route) => `${method} ${route.slice(1, -1)}`);
  const known = [...list("READS", "GET"), ...list("ORDERS", "POST")];
  assert.ok(known.length > 30, "the router's list was read");
  const here = new Set([...SCREENS.flatMap(({ routes }) => routes), ...Object.keys(NO_PAGES)]);
  assert.deepEqual([...here].sort(), known.sort());
});

for (const name of ["up", "serve"]) {
  for (const screen of SCREENS.filter(({ on }) => [on].flat().includes(name))) {
    test(`${screen.name} of ${name} is sound in both colour schemes, wide and narrow`, () => looks(screen, sites[name]));
    test(`${screen.name} of ${name} needs the keyboard alone`, () => keyboard(screen, sites[name]));
    test(`${screen.name} of ${name} needs no script`, () => plain(screen, sites[name]));
  }
}

test("what lets a browser in is a page, too, until the browser goes on by itself", async () => {
  const page = await open(await sites.up.people.scripted("main"));
  await page.goto(`${sites.up.url}/settings`);
  await page.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await page.locator("#link").textContent();
  const stranger = await chrome.newContext();
  const welcome = await open(stranger);
  await welcome.route(`${sites.up.url}/`, (route) => route.abort("aborted"));
  await welcome.goto(link);
  await welcome.getByText("This browser is let in").waitFor();
  await sound(welcome);
  await stranger.close();
  await page.close();
});

test("the hooks are put to the test, and the page shows their verdicts", async () => {
  const page = await open(await sites.up.people.scripted("main"));
  await page.goto(`${sites.up.url}/provisioning`);
  await page.getByRole("button", { name: "Ask it now" }).click();
  await arrives(page, page.locator("#hook .badge", { hasText: "as it is to be" }));
  assert.equal(await page.locator("#hook tbody tr").count(), 4);
  assert.equal(await page.locator("#hook td .badge", { hasText: "refused" }).count(), 2);
  await sound(page);
  await told(page);
  await page.close();
});

test("where motion is not wanted nothing moves", async () => {
  const page = await open(await sites.up.people.scripted("main"));
  const spans = async (reducedMotion) => {
    await page.emulateMedia({ reducedMotion });
    await page.goto(`${sites.up.url}/devices/device-0001/rotation`);
    return page.locator(".strip li").first().evaluate((item) => getComputedStyle(item).transitionDuration);
  };
  assert.equal(await spans("reduce"), "0s");
  assert.notEqual(await spans("no-preference"), "0s");
  await page.close();
});

test("without a script a link lets a browser in, and a selection is rotated", async () => {
  const context = await sites.up.people.plain("nobody");
  const first = await open(await sites.up.people.scripted("main"));
  await first.goto(`${sites.up.url}/settings`);
  await first.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await first.locator("#link").textContent();
  await first.close();
  const page = await context.newPage();
  await page.goto(link);
  await page.waitForURL(`${sites.up.url}/`);
  await page.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByLabel("Name contains").fill("0003");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.getByRole("checkbox").count(), 1);
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Rotate the selected" }).click();
  await page.getByRole("button", { name: "Rotate 1 device" }).click();
  await page.getByRole("heading", { name: "Ordered" }).waitFor();
  await sites.up.event((line) => line.event === "rotated" && line.thing === "device-0003" && line.reason === "command");
  await context.close();
});
