// The controller's dashboard: a campaign from its count to its end, followed live; paused and aborted without a script.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, controlled, open, picture, sound } from "./support.js";

let site, chrome, context;

before(async () => {
  site = await controlled({ connected: ["press-1"], away: ["press-2"] });
  chrome = await browser();
  context = await chrome.newContext();
  const page = await open(context);
  await page.goto(site.link);
  await page.waitForURL(`${site.url}/`);
  await page.goto(`${site.url}/inventory`);
  await page.getByText("The account was listed").waitFor();
  await page.close();
});

after(async () => {
  await chrome?.close();
  await site?.stop();
});

test("a campaign is counted, begun, and followed live to its end", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/campaigns`);
  await page.getByText("There was none yet").waitFor();
  await page.getByRole("link", { name: "Begin a campaign" }).click();
  await page.getByLabel("Name", { exact: true }).fill("autumn");
  await page.getByLabel("Why, for the journal").fill("yearly");
  await page.getByLabel(/^Name matches/).fill("press-1");
  await sound(page);
  await picture(page, "campaign-new");
  await page.getByRole("button", { name: "Look what it comes to" }).click();
  await page.getByText("1 device would be told to rotate, in 1 wave.").waitFor();
  await sound(page);
  await page.getByRole("button", { name: "Begin", exact: true }).click();
  await page.waitForURL(`${site.url}/campaigns/autumn`);
  await page.evaluate("globalThis.kept = true");
  await page.locator("#standing .badge", { hasText: "done" }).waitFor();
  await page.locator("#standing", { hasText: "1 of 1 device" }).waitFor();
  assert.equal(await page.evaluate("globalThis.kept"), true, "the page was not loaded again");
  await page.close();
});

test("without a script a campaign is paused with a reason and aborted", async () => {
  const plain = await chrome.newContext({ javaScriptEnabled: false });
  await plain.addCookies(await context.cookies());
  const page = await plain.newPage();
  await page.goto(`${site.url}/campaigns?new=1`);
  await page.getByLabel("Name", { exact: true }).fill("winter");
  await page.getByLabel("Why, for the journal").fill("yearly");
  await page.getByLabel(/^Name matches/).fill("press-2");
  await page.getByRole("button", { name: "Look what it comes to" }).click();
  await page.getByRole("button", { name: "Begin", exact: true }).click();
  for (const [button, why, word] of [["Pause", "rain", "paused"], ["Resume", "sun", "running"], ["Abort", "enough", "aborted"]]) {
    await page.getByRole("button", { name: `${button} …` }).click();
    await page.getByLabel("Why, for the journal").fill(why);
    await page.getByRole("button", { name: button, exact: true }).click();
    await page.waitForURL(`${site.url}/campaigns/winter`);
    await page.locator("#standing .badge", { hasText: word }).waitFor();
  }
  await page.getByText("enough, says session").waitFor();
  await plain.close();
});
