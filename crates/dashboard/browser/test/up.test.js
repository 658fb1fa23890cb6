// Every screen of `fleetkey up`: how it looks, with the keyboard alone, and without a script.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { people, rotated, screenTests } from "./passes.js";
import { screensOf } from "./screens.js";
import { arrives, browser, fleet, open, sound, told } from "./support.js";

const TOKEN = "a token of an admin";

let chrome, site;

before(async () => {
  chrome = await browser();
  // Rotated on order alone: what a page offers still stands when it is ordered, however slow the machine.
  const up = await fleet({ environment: { API_TOKEN: TOKEN } }, "--devices", "12", "--rotate-every", "1h", "--soak", "2s");
  site = { ...up, name: "up", token: TOKEN, device: "device-0001", spare: "device-0012" };
  site.people = await people(chrome, site);
  await rotated(site);
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

for (const screen of screensOf("up")) screenTests(screen, () => site, "of up");

test("what lets a browser in is a page, too, until the browser goes on by itself", async () => {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/settings`);
  await page.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await page.locator("#link").textContent();
  const stranger = await chrome.newContext();
  const welcome = await open(stranger);
  await welcome.route(`${site.url}/`, (route) => route.abort("aborted"));
  await welcome.goto(link);
  await welcome.getByText("This browser is let in").waitFor();
  await sound(welcome);
  await stranger.close();
  await page.close();
});

test("the hooks are put to the test, and the page shows their verdicts", async () => {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/provisioning`);
  await page.getByRole("button", { name: "Ask it now" }).click();
  await arrives(page, page.locator("#hook .badge", { hasText: "as it is to be" }));
  assert.equal(await page.locator("#hook tbody tr").count(), 4);
  assert.equal(await page.locator("#hook td .badge", { hasText: "refused" }).count(), 2);
  await sound(page);
  await told(page);
  await page.close();
});

test("where motion is not wanted nothing moves", async () => {
  const page = await open(await site.people.scripted("main"));
  const spans = async (reducedMotion) => {
    await page.emulateMedia({ reducedMotion });
    await page.goto(`${site.url}/devices/device-0001/rotation`);
    return page.locator(".strip li").first().evaluate((item) => getComputedStyle(item).transitionDuration);
  };
  assert.equal(await spans("reduce"), "0s");
  assert.notEqual(await spans("no-preference"), "0s");
  await page.close();
});

test("without a script a link lets a browser in, and a selection is rotated", async () => {
  const context = await site.people.plain("nobody");
  const first = await open(await site.people.scripted("main"));
  await first.goto(`${site.url}/settings`);
  await first.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await first.locator("#link").textContent();
  await first.close();
  const page = await context.newPage();
  await page.goto(link);
  await page.waitForURL(`${site.url}/`);
  await page.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByLabel("Name contains").fill("0003");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.getByRole("checkbox").count(), 1);
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Rotate the selected" }).click();
  await page.getByRole("button", { name: "Rotate 1 device" }).click();
  await page.getByRole("heading", { name: "Ordered" }).waitFor();
  await site.event((line) => line.event === "rotated" && line.thing === "device-0003" && line.reason === "command");
  await context.close();
});
