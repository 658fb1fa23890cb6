// A fleet of the real binary, a real browser, and what every page is held to.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const artefacts = process.env.FLEETKEY_ARTEFACTS ?? join(tmpdir(), "fleetkey-browser");

// However busy the machine is.
export const PATIENCE = 60_000;

/** Runs `fleetkey up`, with a further environment if the first argument has one; `event(name)` waits for a line of its output. */
export async function fleet(...args) {
  const { environment = {} } = typeof args[0] === "object" ? args.shift() : {};
  const binary = process.env.FLEETKEY_BIN;
  assert.ok(binary, "FLEETKEY_BIN names the binary");
  const data = mkdtempSync(join(tmpdir(), "fleetkey-"));
  const ports = ["--mqtt-port", "0", "--alpn-port", "0"];
  const child = spawn(binary, ["up", "--json", "--data-dir", data, ...ports, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const seen = [];
  const waiting = new Set();
  createInterface({ input: child.stdout }).on("line", (line) => {
    seen.push(JSON.parse(line));
    waiting.forEach((look) => look());
  });
  const event = (fits) =>
    within(`an event ${fits}`, (done) => {
      const look = () => {
        const found = seen.find((line) => (typeof fits === "string" ? line.event === fits : fits(line)));
        if (found) {
          waiting.delete(look);
          done(found);
        }
      };
      waiting.add(look);
      look();
    });
  const stop = async () => {
    if (child.exitCode === null) {
      const gone = once(child, "exit");
      child.kill("SIGINT");
      // A second one cuts the end short.
      const hurry = setTimeout(() => child.kill("SIGINT"), 2_000);
      await gone;
      clearTimeout(hurry);
    }
    rmSync(data, { recursive: true, force: true });
  };
  const ready = await event("ready");
  return { url: new URL(ready.dashboard_url).origin, link: ready.dashboard_url, event, stop };
}

/** Debian's Chromium. */
export function browser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A page that remembers what it complained about. */
export async function open(context) {
  await context.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  return page;
}

/** No policy violation, nothing in the console, nothing that axe finds, nothing wider than the screen. */
export async function sound(page) {
  const where = page.url();
  assert.deepEqual(await page.evaluate("globalThis.violations"), [], `policy violations on ${where}`);
  assert.deepEqual(page.complaints, [], `complaints on ${where}`);
  const wide = await page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth");
  assert.ok(wide <= 0, `${where} is ${wide} px wider than the screen`);
  await page.evaluate(axe);
  const found = await page.evaluate("axe.run()");
  const told = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
  assert.deepEqual(told, [], `axe on ${where}`);
  assert.ok(found.passes.length > 10, "axe looked at something");
}

export async function picture(page, name) {
  mkdirSync(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: false });
}

/** The whole id of a device's certificate in use, as its page shows it. */
export function inUse(page) {
  return page.locator("#state code").getAttribute("title");
}

function within(what, begin) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what} did not come within a minute`)), PATIENCE);
    begin((value) => {
      clearTimeout(late);
      resolve(value);
    });
  });
}
