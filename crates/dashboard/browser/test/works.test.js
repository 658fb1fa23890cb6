// The controller's dashboard takes a fleet down and sets it up again: followed live with a script, by reloading without one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { people, screenTests } from "./passes.js";
import { screensOf } from "./screens.js";
import { arrives, browser, controlled, open, picture, plainly, sound, told } from "./support.js";

let site, chrome, context;

before(async () => {
  site = { ...(await controlled({ connected: [], away: ["press-1"] })), name: "removed" };
  chrome = await browser();
  site.people = await people(chrome, site);
  context = await site.people.scripted("main");
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

for (const screen of screensOf("removed")) screenTests(screen, () => site, "of a fleet that was removed");

test("without a script it is set up again, and stands in the journal", async () => {
  const plain = await chrome.newContext({ javaScriptEnabled: false });
  await plain.addCookies(await context.cookies());
  const page = await plainly(plain);
  await page.goto(`${site.url}/setup`);
  await arrives(page, page.getByRole("button", { name: "Carry it out …" }));
  await page.getByRole("button", { name: "Carry it out …" }).click();
  await page.getByLabel("Why, for the journal").fill("a new beginning");
  await page.getByRole("button", { name: "Set up" }).click();
  await page.waitForURL(`${site.url}/setup`);
  await arrives(page, page.locator("#work", { hasText: "made or changed" }));
  await page.goto(`${site.url}/journal`);
  await page.locator("tr", { hasText: "a new beginning, says session" }).first().waitFor();
  await plain.close();
});
