// Pages that stay open while somebody works: many of them at once, some that nobody sees, and what a person has begun on one
// that is read again.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { press, reach } from "./keys.js";
import { open, trial } from "./support.js";

// As many as one look at an incident takes, and more than a browser has connections to a host.
const TABS = 7;

let site, chrome, context, end;

before(async () => {
  ({ site, chrome, context, end } = await trial("--devices", "4", "--rotate-every", "1h", "--soak", "2s"));
});

after(() => end?.());

const live = (page, words = /^live/) => page.locator("#live-state", { hasText: words }).waitFor();

/** Has a device rotate, on a page of its own; whose page the browser says that the order comes from. */
async function rotate(thing) {
  const page = await open(context);
  await page.goto(`${site.url}/devices/${thing}`);
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Rotate now" }).click();
  await page.waitForURL(`${site.url}/devices/${thing}/rotation`);
  const { origin } = await (await sent).allHeaders();
  await page.close();
  return origin;
}

test("with many tabs open the next still loads and gives orders, and all of them stay current", async () => {
  const tabs = [];
  for (let number = 0; number < TABS; number += 1) {
    const tab = await open(context);
    await tab.goto(`${site.url}/devices/device-0002/rotation`);
    await live(tab);
    tabs.push(tab);
  }
  assert.equal(await rotate("device-0002"), site.url, "a form of ours says that it is");
  for (const tab of tabs) await tab.locator("#rotation p .badge", { hasText: "done" }).waitFor();
  const hears = async (tab) => (await tab.locator("#live-state").textContent()) === "live";
  const first = [];
  for (const tab of tabs) first.push(await hears(tab));
  assert.deepEqual(first, [true, true, true, false, false, false, false], "few of them have a stream of their own");
  await tabs[0].close();
  await Promise.any(tabs.slice(3).map((tab) => live(tab, /^live$/)));
  for (const tab of tabs.slice(1)) await tab.close();
});

test("a page that is not seen leaves its stream, and takes it up where it was when it is seen again", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/devices/device-0004`);
  await live(page, /^live$/);
  const streams = (request) => request.resourceType() === "eventsource";
  const seen = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  const [left] = await Promise.all([page.waitForEvent("requestfailed", streams), seen(true)]);
  await rotate("device-0004");
  await site.event((line) => line.event === "rotated" && line.thing === "device-0004");
  const [again] = await Promise.all([page.waitForRequest(streams), seen(false)]);
  const after = (request) => Number(new URL(request.url()).searchParams.get("after"));
  assert.ok(after(again) >= after(left), `${again.url()} goes on after ${left.url()}`);
  await page.locator("#timeline", { hasText: "rotation ordered" }).waitFor();
  await live(page, /^live$/);
  await page.close();
});

test("a page that cannot be read again says so, until it can", async () => {
  const page = await open(context);
  const address = `${site.url}/devices/device-0001`;
  await page.goto(address);
  await live(page);
  // As when it is shown again: it is read at once.
  const look = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  const troubles = [
    [(route) => route.fulfill({ status: 404, body: "" }), /^not live: answer 404$/],
    [(route) => route.fulfill({ status: 500, body: "" }), /^not live: answer 500$/],
    [(route) => route.abort(), /^not live: the dashboard does not answer$/],
  ];
  for (const [answer, words] of troubles) {
    await page.route(address, answer);
    await look();
    await live(page, words);
    await page.unroute(address);
    await look();
    await live(page);
  }
  await page.close();
});

test("focus, selection and sideways scroll stay where they are while the table around them changes", async () => {
  const page = await open(context);
  await page.setViewportSize({ width: 360, height: 800 });
  await rotate("device-0003");
  await page.goto(`${site.url}/rotations`);
  await live(page);
  const link = page.locator("#rotations tbody tr", { hasText: "device-0003" }).first().getByRole("link");
  await reach(page, link);
  const begun = await page.evaluate(() => {
    const scroll = document.querySelector("#rotations .scroll");
    scroll.scrollLeft = 80;
    getSelection().selectAllChildren(document.activeElement.closest("tr").querySelector("code"));
    return { left: scroll.scrollLeft, selected: String(getSelection()), text: document.querySelector("#rotations").innerText };
  });
  assert.ok(begun.left > 0 && begun.selected.length > 4, `there is something to lose: ${JSON.stringify(begun)}`);
  // A row above it, and the ages in its own.
  await rotate("device-0001");
  await page.locator("#rotations tbody tr", { hasText: "device-0001" }).locator(".badge", { hasText: "done" }).first().waitFor();
  await page.waitForFunction((text) => document.querySelector("#rotations").innerText !== text, begun.text);
  const now = await page.evaluate(() => ({
    left: document.querySelector("#rotations .scroll").scrollLeft,
    selected: String(getSelection()),
    focus: document.activeElement.textContent,
  }));
  assert.deepEqual(now, { left: begun.left, selected: begun.selected, focus: "device-0003" });
  await press(page, link);
  assert.equal(page.url(), `${site.url}/devices/device-0003/rotation`);
  await page.close();
});

test("what somebody has folded or unfolded stays so while the page is live", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/policies?thing=device-0001&action=iot:Publish&topic=device/device-0001/x`);
  await live(page);
  const [decided, other] = [page.locator("#verdict details[open]").first(), page.locator("#policies details").last()];
  await decided.waitFor();
  const handles = [await decided.elementHandle(), await other.elementHandle()];
  const unfolded = () => Promise.all(handles.map((handle) => handle.evaluate((part) => part.isConnected && part.open)));
  assert.deepEqual(await unfolded(), [true, false]);
  for (const handle of handles) await (await handle.$("summary")).click();
  assert.deepEqual(await unfolded(), [false, true]);
  // What was read before is in place when the page is read again.
  const again = () => page.waitForResponse((answer) => answer.url() === page.url());
  for (let read = 0; read < 3; read += 1) await again();
  assert.deepEqual(await unfolded(), [false, true]);
  await page.close();
});
