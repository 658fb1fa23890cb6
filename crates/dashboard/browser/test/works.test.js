// The controller's dashboard takes a fleet down and sets it up again: followed live with a script, by reloading without one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, controlled, open, picture, sound, told } from "./support.js";

let site, chrome, context;

before(async () => {
  site = await controlled({ connected: [], away: ["press-1"] });
  chrome = await browser();
  context = await chrome.newContext();
  const page = await open(context);
  await page.goto(site.link);
  await page.waitForURL(`${site.url}/`);
  await page.close();
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

test("a fleet is removed by its name, and the page follows it to the end", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/cleanup`);
  await page.locator("#plan", { hasText: "thing press-1" }).getByRole("button", { name: "Carry it out …" }).click();
  await page.getByRole("heading", { name: "Remove the fleet default?" }).waitFor();
  await sound(page);
  await told(page);
  await picture(page, "clean-up-asked");
  await page.getByLabel("Why, for the journal").fill("the end");
  await page.getByLabel(/^The fleet's name/).fill("defualt");
  await page.getByRole("button", { name: "Clean up" }).click();
  await page.getByRole("alert").getByText("Type the name of the fleet").waitFor();
  // The console told of the refusal, as it is to.
  assert.match(page.complaints.splice(0).join(), /^Failed to load resource: .* 400/);
  await page.getByLabel(/^The fleet's name/).fill("default");
  await page.getByRole("button", { name: "Clean up" }).click();
  await page.waitForURL(`${site.url}/cleanup`);
  await page.evaluate("globalThis.kept = true");
  await page.locator("#work", { hasText: "looked again: nothing of the fleet is left" }).waitFor();
  assert.equal(await page.evaluate("globalThis.kept"), true, "the page was not loaded again");
  await page.locator("#plan", { hasText: "There is nothing to do" }).waitFor();
  await sound(page);
  await told(page);
  await picture(page, "clean-up-done");
  await page.goto(`${site.url}/journal`);
  await page.locator("tr", { hasText: "the end, says session" }).first().waitFor();
  await page.close();
});

test("without a script it is set up again, and stands in the journal", async () => {
  const plain = await chrome.newContext({ javaScriptEnabled: false });
  await plain.addCookies(await context.cookies());
  const page = await plain.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${site.url}/setup`);
  await reload(page, page.getByRole("button", { name: "Carry it out …" }));
  await page.getByRole("button", { name: "Carry it out …" }).click();
  await page.getByLabel("Why, for the journal").fill("a new beginning");
  await page.getByRole("button", { name: "Set up" }).click();
  await page.waitForURL(`${site.url}/setup`);
  await reload(page, page.locator("#work", { hasText: "made or changed" }));
  await page.goto(`${site.url}/journal`);
  await page.locator("tr", { hasText: "a new beginning, says session" }).first().waitFor();
  await plain.close();
});

/** Loads the page again until this is on it. */
async function reload(page, what) {
  const end = Date.now() + 60_000;
  while ((await what.count()) === 0) {
    assert.ok(Date.now() < end, "it did not come within a minute");
    await page.reload();
  }
}
