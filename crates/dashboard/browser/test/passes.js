// What every screen is held to, whichever program serves it: how it looks, the keyboard, no script.

import assert from "node:assert/strict";
import { test } from "node:test";
import { round } from "./keys.js";
import { go } from "./screens.js";
import { accessible, fits, open, picture, plainly, told } from "./support.js";

// Schemes and widths, one of them another than before. axe looks at either scheme and at either width; design.rs computes each
// contrast in both schemes.
const LOOKS = [["light", 1280, true], ["light", 360, false], ["dark", 360, true], ["dark", 1280, false]];
const [KEYBOARD, PLAIN] = [1, 2];

/** Whoever looks: let in by the printed link; by a link of that one's, so not shown to be themselves; without scripts; nobody. */
export async function people(chrome, site) {
  const main = await chrome.newContext();
  const page = await open(main);
  await page.goto(site.link);
  await page.waitForURL(`${site.url}/`);
  await page.goto(`${site.url}/settings`);
  await page.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await page.locator("#link").textContent();
  await page.close();
  const other = await chrome.newContext();
  const second = await open(other);
  await second.goto(link);
  await second.waitForURL(`${site.url}/`);
  await second.close();
  const cookies = { main: await main.cookies(), other: await other.cookies(), nobody: [] };
  const plainOf = async (who) => {
    const context = await chrome.newContext({ javaScriptEnabled: false });
    await context.addCookies(cookies[who]);
    return context;
  };
  const known = { main: await plainOf("main"), other: await plainOf("other") };
  const plain = async (who) => known[who] ?? plainOf(who);
  const scripted = async (who) => (who === "nobody" ? chrome.newContext() : { main, other }[who]);
  return { scripted, plain };
}

/** A device has rotated, and its old certificate was retired. */
export async function rotated(site) {
  const page = await open(await site.people.scripted("main"));
  await page.goto(`${site.url}/devices/${site.device}`);
  await page.getByText("connected", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Rotate now" }).click();
  await page.locator("#rotation .badge", { hasText: "done" }).first().waitFor();
  await page.close();
}

/** The screens that are ready to be looked at. */
const ready = new Set();

/** A page of whoever a screen is for, handed to `look`; nobody's context is new each time. */
async function seen(screen, site, scripts, look) {
  const who = screen.who ?? "main";
  const context = await (scripts ? site.people.scripted(who) : site.people.plain(who));
  const page = scripts ? await open(context) : await plainly(context);
  if (!ready.has(screen)) await screen.ready?.(page, site);
  ready.add(screen);
  await look(page);
  await page.close();
  if (who === "nobody") await context.close();
}

/** In both colour schemes, wide and narrow; and still, where motion is not wanted. */
const looks = (screen, site) =>
  seen(screen, site, true, async (page) => {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await go(page, screen, site);
    const moving = await page.evaluate(() => {
      const moves = ({ transitionDuration, animationName }) => /[1-9]/.test(transitionDuration) || animationName !== "none";
      return [...document.querySelectorAll("*")].filter((element) => moves(getComputedStyle(element))).length;
    });
    assert.equal(moving, 0, `what moves on ${page.url()}`);
    for (const [colorScheme, width, closely] of LOOKS) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await picture(page, `${site.name}-${screen.name}-${colorScheme}-${width}`);
      await fits(page, screen.status);
      await told(page);
      if (closely) await accessible(page);
    }
  });

/** All that takes part can be reached, shows the focus, and the screen's task is done. */
const keyboard = (screen, site) =>
  seen(screen, site, true, async (page) => {
    await go(page, screen, site, KEYBOARD);
    await round(page);
    if (!screen.does) return;
    if (!screen.by) await go(page, screen, site, KEYBOARD);
    await screen.does(page, site, KEYBOARD);
  });

/** The same content, and forms that work, where no script runs. */
const plain = (screen, site) =>
  seen(screen, site, false, async (page) => {
    await go(page, screen, site, PLAIN);
    const { words, forms, handlers } = await page.evaluate(() => ({
      words: document.querySelector("main").innerText.trim(),
      forms: [...document.forms].filter((form) => form.elements.length > 0 && !form.matches("[action]:has(button[type=submit])")).length,
      handlers: document.querySelectorAll("main button:not([type=submit]), main [hidden]").length,
    }));
    assert.ok(words.length > 20, `${page.url()} says no more than ${words}`);
    assert.equal(forms, 0, `forms on ${page.url()} that only a script could send`);
    assert.equal(handlers, 0, `what only a script could use on ${page.url()}`);
    await screen.does?.(page, site, PLAIN);
    await screen.undo?.(page, site);
  });

/** The three tests of a screen of `site()`, which is there when they run. */
export function screenTests(screen, site, where) {
  test(`${screen.name} ${where} is sound in both colour schemes, wide and narrow`, () => looks(screen, site()));
  test(`${screen.name} ${where} needs the keyboard alone`, () => keyboard(screen, site()));
  test(`${screen.name} ${where} needs no script`, () => plain(screen, site()));
}
