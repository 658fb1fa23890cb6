// The keyboard: nothing here clicks, and nothing is focused but by Tab.

import assert from "node:assert/strict";

// More than any page has of what takes the focus.
const MOST = 400;
// How many Tabs are pressed on the way round before it is asked what they have reached.
const AT_ONCE = 8;

/** Presses Tab until this has the focus. */
export async function reach(page, target) {
  await target.first().waitFor();
  for (let step = 0; step < MOST; step += 1) {
    if (await target.first().evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${target} cannot be reached by Tab on ${page.url()}`);
}

/** Goes to a link or the button of a form and presses Enter; the page that it leads to has come then. */
export async function press(page, target) {
  await reach(page, target);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
}

/** Goes there and types this in place of what was there. */
export async function type(page, target, text) {
  await reach(page, target);
  await page.keyboard.press("Control+a");
  await page.keyboard.type(text);
}

/** Goes round the page by Tab: all that takes part is reached, and each shows that it has the focus. */
export async function round(page) {
  // What is drawn anew meanwhile would be reached twice or not at all.
  await page.evaluate(() => document.getElementById("live-pause")?.click());
  await page.evaluate(() => {
    document.activeElement?.blur();
    globalThis.round = { reached: new Set(), bare: [] };
    document.addEventListener("focusin", ({ target }) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(target);
      const box = target.getBoundingClientRect();
      const shown = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.width > 0 && box.height > 0;
      if (!shown && !target.matches("main")) globalThis.round.bare.push(target.outerHTML.slice(0, 200));
      globalThis.round.reached.add(target);
    });
  });
  // Until Tabs lead to nothing new: past the last they go to the browser's own controls, or to the first again.
  for (let reached = -1, now = 0; now > reached && now < MOST; ) {
    reached = now;
    for (let step = 0; step < AT_ONCE; step += 1) await page.keyboard.press("Tab");
    now = await page.evaluate(() => globalThis.round.reached.size);
  }
  const { missed, bare } = await page.evaluate(() => {
    const all = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
    const takes = (element) => !element.disabled && element.type !== "hidden" && element.checkVisibility({ visibilityProperty: true });
    const missed = [...all].filter((element) => takes(element) && !globalThis.round.reached.has(element));
    return { missed: missed.map((element) => element.outerHTML.slice(0, 200)), bare: globalThis.round.bare };
  });
  assert.deepEqual(missed, [], `out of reach by Tab on ${page.url()}`);
  assert.deepEqual(bare, [], `without a focus that is seen on ${page.url()}`);
}
