// Watching: a page that is open shows a rotation as it happens, and a keyboard is enough to order one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, fleet, inUse, open, picture, sound } from "./support.js";

let site, chrome, context;

before(async () => {
  site = await fleet("--devices", "4", "--rotate-every", "1h", "--soak", "2s");
  chrome = await browser();
  context = await chrome.newContext();
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

test("opened at once, the page fills as the devices come", async () => {
  const page = await open(context);
  const again = page.waitForRequest((request) => request.url() === `${site.url}/` && request.resourceType() === "fetch");
  await page.goto(site.link);
  await page.waitForURL(`${site.url}/`);
  await page.evaluate("globalThis.kept = true");
  await page.locator("#glance a", { hasText: "device-0004" }).waitFor();
  await page.getByText("Nothing asks for attention").waitFor();
  await page.locator("#live-state", { hasText: /^live$/ }).waitFor();
  assert.equal(await page.evaluate("globalThis.kept"), true, "the page was not loaded again");
  assert.equal((await again).headers()["x-read"], "again", "it says that nobody asked for it");
  await page.close();
});

test("a page whose session has ended says so", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/settings`);
  await page.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await page.locator("#link").textContent();
  const other = await chrome.newContext();
  const [left, leaving] = [await open(other), await open(other)];
  await left.goto(link);
  await left.waitForURL(`${site.url}/`);
  await left.locator("#live-state", { hasText: /^live$/ }).waitFor();
  await leaving.goto(`${site.url}/settings`);
  await leaving.getByRole("button", { name: "Log out" }).click();
  await leaving.waitForURL(`${site.url}/login`);
  await left.locator("#live-state", { hasText: "logged out: load the page again" }).waitFor();
  await other.close();
  await page.close();
});

test("with the keyboard alone a rotation is ordered and followed live to its end", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/devices/device-0002`);
  const before = await inUse(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.className"), "skip", "first comes the way past the navigation");
  await page.keyboard.press("Enter");
  for (let step = 0; step < 40; step += 1) {
    if ((await page.evaluate("document.activeElement.id")) === "rotate") break;
    await page.keyboard.press("Tab");
  }
  assert.equal(await page.evaluate("document.activeElement.id"), "rotate");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${site.url}/devices/device-0002/rotation`);
  await page.evaluate("globalThis.kept = true");
  await page.locator("#rotation .badge", { hasText: "under way" }).first().waitFor();
  await picture(page, "rotation-under-way");
  await page.locator("#rotation p .badge", { hasText: "done" }).waitFor();
  await page.locator("#rotation article", { hasText: "Before" }).getByText(/INACTIVE|REVOKED/).waitFor();
  assert.equal(await page.evaluate("globalThis.kept"), true, "the page was not loaded again");
  assert.equal(await page.locator("#rotation .strip .tone-good").count(), 8, "all eight phases");
  await sound(page);
  await picture(page, "rotation-done");
  await page.goto(`${site.url}/devices/device-0002`);
  assert.notEqual(await inUse(page), before);
  assert.equal(await page.locator("#chain li").count(), 2, "the device's and its issuer");
  await page.locator("#changed tr", { hasText: "SHA-256 of the key" }).getByText("differs").waitFor();
  await page.locator("#changed tr", { hasText: "Subject" }).getByText("the same").waitFor();
  await page.close();
});

test("a selection survives what changes on the page, and a pause holds it still", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/devices`);
  await page.getByLabel("Select device-0001").check();
  const old = await page.locator("tr", { hasText: "device-0003" }).locator("code").getAttribute("title");
  const other = await open(context);
  await other.goto(`${site.url}/devices/device-0003`);
  await other.getByRole("button", { name: "Rotate now" }).click();
  await page.locator(`tr:has-text("device-0003") code:not([title="${old}"])`).waitFor();
  assert.ok(await page.getByLabel("Select device-0001").isChecked());
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#live-state", { hasText: "paused" }).waitFor();
  await other.close();
  await page.close();
});
