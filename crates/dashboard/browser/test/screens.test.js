// Every screen: both colour schemes, a desk and a telephone, without motion, and without a script.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, fleet, open, picture, sound, told } from "./support.js";

const SCREENS = {
  overview: "/",
  devices: "/devices",
  device: "/devices/device-0001",
  rotation: "/devices/device-0001/rotation",
  effective: "/devices/device-0001/policies",
  rotations: "/rotations",
  findings: "/findings",
  campaigns: "/campaigns",
  inventory: "/inventory",
  policies: "/policies?thing=device-0001&action=iot:Publish&topic=elsewhere",
  policy: "/policies/DevicePolicy",
  provisioning: "/provisioning",
  setup: "/setup",
  cleanup: "/cleanup",
  journal: "/journal",
  bench: "/try",
  wizard: "/try/bench-1",
  settings: "/settings",
};

let site, chrome, context;

before(async () => {
  site = await fleet("--devices", "12", "--rotate-every", "20s");
  chrome = await browser();
  context = await chrome.newContext();
  const page = await open(context);
  await page.goto(site.link);
  await page.waitForURL(`${site.url}/`);
  await page.close();
  await site.event("retired");
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

for (const [name, path] of Object.entries(SCREENS)) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      test(`${name} is sound, ${colorScheme}, ${width} px wide`, async () => {
        const page = await open(context);
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.goto(site.url + path);
        await page.locator("h1").first().waitFor({ state: "attached" });
        await picture(page, `${name}-${colorScheme}-${width}`);
        await sound(page);
        await told(page);
        await page.close();
      });
    }
  }
}

test("the hooks are put to the test, with the keyboard alone, and the page shows their verdicts", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/provisioning`);
  await page.getByText("Not asked since the dashboard started").waitFor();
  await page.locator("#test-hook").focus();
  await page.keyboard.press("Enter");
  await page.locator("#hook .badge", { hasText: "as it is to be" }).waitFor();
  assert.equal(await page.locator("#hook tbody tr").count(), 4);
  assert.equal(await page.locator("#hook td .badge", { hasText: "refused" }).count(), 2);
  await sound(page);
  await told(page);
  await picture(page, "hook");
  await page.close();
});

test("the login page is sound and lets nobody in by a wrong token", async () => {
  const stranger = await chrome.newContext();
  const page = await open(stranger);
  await page.goto(`${site.url}/devices`);
  assert.equal(new URL(page.url()).pathname, "/login");
  await sound(page);
  await page.getByLabel("API token").fill("a guess");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await stranger.close();
});

test("where motion is not wanted nothing moves", async () => {
  const page = await open(context);
  const spans = async (reducedMotion) => {
    await page.emulateMedia({ reducedMotion });
    await page.goto(`${site.url}/devices/device-0001/rotation`);
    return page.locator(".strip li").first().evaluate((item) => getComputedStyle(item).transitionDuration);
  };
  assert.equal(await spans("reduce"), "0s");
  assert.notEqual(await spans("no-preference"), "0s");
  await page.close();
});

test("without a script a link, pages and forms do all that is needed", async () => {
  const plain = await chrome.newContext({ javaScriptEnabled: false });
  const first = await open(context);
  await first.goto(`${site.url}/settings`);
  await first.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await first.locator("#link").textContent();
  await first.close();
  const page = await plain.newPage();
  await page.goto(link);
  await page.waitForURL(`${site.url}/`);
  await page.getByRole("link", { name: "Devices", exact: true }).click();
  await page.getByLabel("Name contains").fill("0003");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.getByRole("checkbox").count(), 1);
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Rotate the selected" }).click();
  await page.getByRole("heading", { name: "Rotate 1 device?" }).waitFor();
  await page.getByRole("button", { name: "Rotate 1 device" }).click();
  await page.getByRole("heading", { name: "Ordered" }).waitFor();
  await site.event((line) => line.event === "rotated" && line.thing === "device-0003" && line.reason === "command");
  await plain.close();
});
