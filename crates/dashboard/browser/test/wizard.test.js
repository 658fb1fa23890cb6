// The wizard: a device on the bench, from its first certificate to rotating by itself, by forms; its rotation is followed live.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { arrives, open, picture, plainly, sound, trial } from "./support.js";

let site, chrome, context, end;

before(async () => {
  ({ site, chrome, context, end } = await trial("--devices", "1", "--rotate-every", "1h"));
});

after(() => end?.());

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const fact = (page, name) => page.locator("#bench div", { has: page.locator("dt", { hasText: name }) }).locator("dd");

for (const [kind, javaScriptEnabled] of [["with a script", true], ["without a script", false]]) {
  test(`provision, connect, publish and subscribe, rotate, rotate by itself: ${kind}`, async () => {
    const serial = javaScriptEnabled ? "bench-1" : "bench-2";
    const mine = javaScriptEnabled ? context : await chrome.newContext({ javaScriptEnabled });
    const page = javaScriptEnabled ? await open(mine) : await plainly(mine);
    if (!javaScriptEnabled) await mine.addCookies(await context.cookies());
    await page.goto(`${site.url}/try`);
    await page.getByLabel("Serial number").fill(serial);
    await press(page, "Begin");
    await page.waitForURL(`${site.url}/try/${serial}`);
    await page.locator("#bench").getByText("not provisioned").waitFor();

    await press(page, "Provision");
    await page.locator("#bench").getByText("disconnected").waitFor();
    assert.equal(await fact(page, "Certificates so far").textContent(), "1");
    const first = await page.locator("#bench code").getAttribute("title");
    await press(page, "Connect");
    await page.locator("#bench").getByText("connected", { exact: true }).waitFor();
    await press(page, "Subscribe");
    assert.equal(await fact(page, "Hears").textContent(), `device/${serial}/#`);
    await page.getByLabel("Payload").fill('{"temperature": 36.6}');
    await press(page, "Publish");
    await arrives(page, page.locator("#log li", { hasText: `[RECV] device/${serial}/telemetry` }).filter({ hasText: "36.6" }));
    if (javaScriptEnabled) {
      await sound(page);
      await picture(page, "wizard");
    }

    const watching = await open(context);
    await watching.goto(`${site.url}/devices/${serial}/rotation`);
    await watching.evaluate("globalThis.kept = true");
    await press(page, "Rotate");
    await watching.locator("#rotation p .badge", { hasText: "done" }).waitFor();
    await watching.locator("#rotation .strip .tone-good").nth(7).waitFor();
    assert.equal(await watching.evaluate("globalThis.kept"), true, "the page was not loaded again");
    await watching.close();
    const second = await page.locator("#bench code").getAttribute("title");
    assert.notEqual(second, first);

    await page.getByLabel("Look every … seconds").fill("1");
    await page.getByLabel("Rotate when less than … days are left").fill("36500");
    await press(page, "Rotate by itself");
    await arrives(page, page.locator(`#bench code:not([title="${second}"])`));
    await press(page, "Stop rotating by itself");
    assert.equal(await fact(page, "Rotates").textContent(), "on order");
    await press(page, "Disconnect");
    await page.locator("#bench").getByText("disconnected").waitFor();
    if (!javaScriptEnabled) await mine.close();
  });
}
