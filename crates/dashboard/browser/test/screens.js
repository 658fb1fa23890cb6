// Every screen: which addresses it answers, where it is served, how one gets there, and what is done on it. By the keyboard alone,
// so that each way there and each task is one without a mouse. What all screens are held to is in passes.js.

import assert from "node:assert/strict";
import { press, reach, type } from "./keys.js";
import { arrives } from "./support.js";

const [UP, SERVE, REMOVED, LATE] = ["up", "serve", "removed", "late"];
const BOTH = [UP, SERVE];
const ALL = [...BOTH, REMOVED];

const button = (page, name) => page.getByRole("button", { name });
const link = (page, name) => page.getByRole("main").getByRole("link", { name });
const heading = (page, name) => page.getByRole("heading", { name, level: 1 }).waitFor();
const why = (page) => page.getByLabel("Why, for the journal");

/** On the page at `path`, presses the button of this name. */
const pressed = (path, name) => async (page, site) => {
  await page.goto(site.url + path(site));
  const wanted = button(page, name);
  await arrives(page, wanted);
  await press(page, wanted.first());
};

/** Follows the first link of this name, to a page of that heading. */
const follows = (name, title) => async (page) => {
  await press(page, link(page, name).first());
  await heading(page, title);
};

/** Says why, and leaves it at that. */
const refrains = (title) => async (page) => {
  await type(page, why(page), "only looking");
  await press(page, link(page, "Cancel"));
  await heading(page, title);
};

/** Selects the device on the page that shows it alone, and asks to rotate it: again while it is at a rotation, and left out. */
async function ask(page, site) {
  const found = `${site.url}/devices?q=${site.device}`;
  for (;;) {
    await reach(page, page.getByLabel(`Select ${site.device}`));
    await page.keyboard.press("Space");
    await press(page, button(page, "Rotate the selected"));
    const asked = page.getByRole("heading", { name: /^(Rotate 1 device\?|Nobody to rotate)$/, level: 1 });
    await asked.waitFor();
    if ((await asked.textContent()).startsWith("Rotate")) return;
    await page.goto(found);
  }
}

/** Orders what was asked for. The device may have begun a rotation since: then it is asked for again. */
async function order(page, site) {
  for (;;) {
    await press(page, button(page, "Rotate 1 device"));
    const answer = page.getByRole("heading", { name: /^(Ordered|Not carried out)$/, level: 1 });
    await answer.waitFor();
    if ((await answer.textContent()) === "Ordered") return;
    await page.goto(`${site.url}/devices?q=${site.device}`);
    await ask(page, site);
  }
}

async function fillCampaign(page, name, things) {
  await type(page, page.getByLabel("Name", { exact: true }), name);
  await type(page, why(page), "yearly");
  await type(page, page.getByLabel(/^Name matches/), things);
  await press(page, button(page, "Look what it comes to"));
}

/** Begins a campaign for these things, on the page that asks for it. */
export async function beginCampaign(page, site, name, things) {
  await page.goto(`${site.url}/campaigns?new=1`);
  await fillCampaign(page, name, things);
  await press(page, button(page, /^Begin$/));
  await page.waitForURL(`${site.url}/campaigns/${name}`);
}

/** Decides of the certificate of the device that there is to spare. */
async function decide(page, site, verb) {
  await page.goto(site.url + spare(site));
  const wanted = button(page, new RegExp(`^${verb} certificate`));
  await arrives(page, wanted);
  await press(page, wanted.first());
  await type(page, why(page), "to see what becomes of it");
  await press(page, button(page, verb));
  await heading(page, site.spare);
}

/** Goes from the first finding to its device. */
async function looksInto(page) {
  const first = page.locator("article h2 a").first();
  const name = await first.textContent();
  await press(page, first);
  await heading(page, name);
}

const device = (site) => `/devices/${site.device}`;
const spare = (site) => `/devices/${site.spare}`;

/**
 * - `routes`: the addresses whose answers it shows, as the router writes them
 * - `on`: the programs that serve it: `fleetkey up`, `fleetkey serve`, that after the fleet was removed, when all is empty, and
 *   that where every rotation is late
 * - `at`: where it is, or `by`: how one gets there
 * - `who`: `other` has not shown who they are, `nobody` has no session; usually it is whoever the printed link let in
 * - `status`: of its answer, if not 200
 * - `ready`: what is done before the first look at it
 * - `undo`: what is put right after the last
 * - `does`: its main task; nothing where a screen is only read
 */
export const SCREENS = [
  { name: "overview", routes: ["GET /"], on: BOTH, at: () => "/",
    does: async (page, site) => {
      await press(page, page.locator("#glance").getByRole("link", { name: site.device }));
      await heading(page, site.device);
    } },
  { name: "devices", routes: ["GET /devices"], on: BOTH, at: () => "/devices",
    does: async (page, site) => {
      await type(page, page.getByLabel("Name contains"), site.device);
      await page.keyboard.press("Enter");
      await page.locator("#devices p", { hasText: /^1 device$/ }).waitFor();
      await ask(page, site);
    } },
  { name: "devices-none", routes: ["GET /devices"], on: BOTH, at: () => "/devices?q=nobody", does: follows("Show all", "Devices") },
  { name: "rotate-selected", routes: ["POST /devices/rotate"], on: BOTH,
    by: async (page, site) => {
      await page.goto(`${site.url}/devices?q=${site.device}`);
      await ask(page, site);
    },
    does: order },
  { name: "rotate-nothing", routes: ["POST /devices/rotate"], on: BOTH, status: 400, by: pressed(() => "/devices", "Rotate the selected"),
    does: follows("Devices", "Devices") },
  { name: "device", routes: ["GET /devices/{thing}", "POST /devices/{thing}/rotate"], on: BOTH, at: device,
    does: async (page, site) => {
      await press(page, button(page, "Rotate now"));
      await heading(page, `Rotation of ${site.device}`);
    } },
  { name: "rotation", routes: ["GET /devices/{thing}/rotation"], on: BOTH, at: (site) => `${device(site)}/rotation`,
    does: async (page, site) => {
      await press(page, link(page, site.device).first());
      await heading(page, site.device);
    } },
  { name: "rotation-none", routes: ["GET /devices/{thing}/rotation"], on: SERVE, at: (site) => `${spare(site)}/rotation` },
  { name: "effective", routes: ["GET /devices/{thing}/policies"], on: BOTH, at: (site) => `${device(site)}/policies`,
    does: follows("Ask whether it may do something", "Policies") },
  { name: "deactivate", routes: ["POST /devices/{thing}/certificates/{id}/{verb}"], on: BOTH, by: pressed(spare, /^Deactivate certificate/),
    does: async (page, site) => {
      await type(page, why(page), "it was stolen");
      await press(page, button(page, "Deactivate"));
      await heading(page, site.spare);
      await decide(page, site, "Reactivate");
    } },
  { name: "deactivate-other", routes: ["POST /devices/{thing}/certificates/{id}/{verb}"], on: BOTH, who: "other",
    by: pressed(spare, /^Deactivate certificate/),
    does: async (page, site) => {
      await page.getByLabel("Token of an admin").waitFor();
      await refrains(site.spare)(page);
    } },
  { name: "rotations", routes: ["GET /rotations"], on: BOTH, at: () => "/rotations",
    does: async (page, site) => {
      await press(page, link(page, site.device).first());
      await heading(page, `Rotation of ${site.device}`);
    } },
  { name: "findings", routes: ["GET /findings"], on: UP,
    at: () => "/findings",
    ready: async (page, site) => {
      await decide(page, site, "Deactivate");
      await page.goto(`${site.url}/findings`);
      await arrives(page, page.locator("article", { hasText: site.spare }));
    },
    undo: (page, site) => decide(page, site, "Reactivate"),
    does: looksInto },
  { name: "findings-late", routes: ["GET /findings"], on: LATE, at: () => "/findings",
    ready: async (page, site) => {
      await page.goto(`${site.url}/findings`);
      await arrives(page, page.locator("article", { hasText: site.device }));
      await arrives(page, page.locator("article", { hasText: site.spare }));
    },
    does: looksInto },
  { name: "findings-none", routes: ["GET /findings"], on: SERVE, at: () => "/findings" },
  { name: "inventory", routes: ["GET /inventory"], on: BOTH, at: () => "/inventory",
    does: async (page) => {
      await reach(page, page.getByLabel("Status"));
      await page.keyboard.press("ArrowDown");
      await press(page, button(page, "Search"));
      await page.waitForURL(/status=ACTIVE/);
      await page.locator("tbody th").first().waitFor();
    } },
  { name: "campaigns", routes: ["GET /campaigns"], on: SERVE, at: () => "/campaigns", does: follows("Begin a campaign", "Begin a campaign") },
  { name: "campaigns-elsewhere", routes: ["GET /campaigns"], on: UP, at: () => "/campaigns" },
  { name: "campaign-form", routes: ["GET /campaigns"], on: SERVE, at: () => "/campaigns?new=1",
    does: async (page, site, turn) => {
      await fillCampaign(page, `looked-at-${turn}`, site.device);
      await page.getByText("1 device would be told to rotate, in 1 wave.").waitFor();
    } },
  { name: "campaign-refused", routes: ["POST /campaigns"], on: SERVE, status: 400,
    by: async (page, site) => {
      await page.goto(`${site.url}/campaigns?new=1`);
      await fillCampaign(page, "autumn", "");
      await page.getByRole("alert").waitFor();
    } },
  { name: "campaign-asked", routes: ["POST /campaigns"], on: SERVE,
    by: async (page, site, turn) => {
      await page.goto(`${site.url}/campaigns?new=1`);
      await fillCampaign(page, `autumn-${turn}`, site.device);
      await button(page, /^Begin$/).waitFor();
    },
    does: async (page, site, turn) => {
      await press(page, button(page, /^Begin$/));
      await heading(page, `Campaign autumn-${turn}`);
    } },
  { name: "campaign", routes: ["GET /campaigns/{name}"], on: SERVE, at: () => "/campaigns/winter",
    does: async (page) => {
      await press(page, button(page, "Pause …"));
      await heading(page, "Pause the campaign winter?");
    } },
  { name: "campaign-pause", routes: ["POST /campaigns/{name}/{verb}"], on: SERVE, by: pressed(() => "/campaigns/winter", "Pause …"),
    does: async (page) => {
      for (const verb of ["Pause", "Resume"]) {
        await type(page, why(page), "rain");
        await press(page, button(page, verb));
        await heading(page, "Campaign winter");
        if (verb === "Pause") await press(page, button(page, "Resume …"));
      }
    } },
  { name: "policies", routes: ["GET /policies"], on: BOTH, at: () => "/policies",
    does: async (page, site) => {
      await type(page, page.getByLabel("Device", { exact: true }), site.device);
      await reach(page, page.getByLabel("Action"));
      await page.keyboard.press("ArrowDown");
      await type(page, page.getByLabel("Topic or filter"), "elsewhere/#");
      await page.keyboard.press("Enter");
      await page.waitForURL(/action=iot%3ASubscribe/);
      await arrives(page, page.getByText("denied implicitly"));
    } },
  { name: "policies-asked", routes: ["GET /policies"], on: BOTH,
    at: (site) => `/policies?thing=${site.device}&action=iot:Publish&topic=elsewhere` },
  { name: "policies-nobody", routes: ["GET /policies"], on: BOTH, status: 400, at: () => "/policies?thing=nobody&action=iot:Connect" },
  { name: "policy", routes: ["GET /policies/{name}"], on: UP, at: () => "/policies/DevicePolicy", does: follows("Policies", "Policies") },
  { name: "policy-versions", routes: ["GET /policies/{name}"], on: SERVE,
    by: async (page, site) => {
      await page.goto(`${site.url}/policies/DevicePolicy`);
      await arrives(page, button(page, "Compare"));
    },
    does: async (page) => {
      await reach(page, page.getByLabel("From"));
      await page.keyboard.press("End");
      await reach(page, page.getByLabel("to", { exact: true }));
      await page.keyboard.press("Home");
      await press(page, button(page, "Compare"));
      await page.waitForURL(/from=2&to=1/);
      await page.locator(".diff ins", { hasText: "topic/device/" }).first().waitFor();
      await page.locator(".diff del", { hasText: "topic/plant/" }).first().waitFor();
    } },
  { name: "policy-asked", routes: ["GET /policies/{name}"], on: SERVE, at: () => "/policies/ClaimPolicy" },
  { name: "provisioning", routes: ["GET /provisioning", "POST /provisioning/hook"], on: BOTH, at: () => "/provisioning",
    does: async (page) => {
      await press(page, button(page, "Ask it now"));
      await arrives(page, page.locator("#hook .badge", { hasText: "as it is to be" }));
    } },
  { name: "setup", routes: ["GET /setup"], on: ALL, at: () => "/setup", does: follows("Provisioning", "Provisioning") },
  { name: "setup-asked", routes: ["POST /setup"], on: REMOVED, by: pressed(() => "/setup", "Carry it out …"),
    does: refrains("What set-up makes") },
  { name: "cleanup", routes: ["GET /cleanup"], on: BOTH, at: () => "/cleanup",
    does: async (page) => {
      await arrives(page, button(page, "Carry it out …"));
      await press(page, button(page, "Carry it out …"));
      await heading(page, /^Remove the fleet/);
    } },
  { name: "cleanup-asked", routes: ["POST /cleanup"], on: BOTH, by: pressed(() => "/cleanup", "Carry it out …"),
    does: refrains("What clean-up removes") },
  { name: "cleanup-other", routes: ["POST /cleanup"], on: BOTH, who: "other", by: pressed(() => "/cleanup", "Carry it out …"),
    does: async (page) => {
      await page.getByLabel("Token of an admin").waitFor();
      await refrains("What clean-up removes")(page);
    } },
  { name: "journal", routes: ["GET /journal"], on: BOTH, at: () => "/journal" },
  { name: "bench", routes: ["GET /try"], on: UP, at: () => "/try",
    does: async (page, site, turn) => {
      await type(page, page.getByLabel("Serial number"), `begun-${turn}`);
      await page.keyboard.press("Enter");
      await heading(page, `begun-${turn}`);
    } },
  { name: "bench-refused", routes: ["GET /try"], on: UP, status: 400, at: () => "/try?serial=a%20b" },
  { name: "wizard", routes: ["GET /try/{serial}", "POST /try/{serial}/{verb}"], on: UP, at: (_, turn) => `/try/keys-${turn}`,
    does: async (page) => {
      await press(page, button(page, /^Provision$/));
      await arrives(page, page.locator("#bench").getByText("disconnected"));
      await press(page, button(page, /^Connect$/));
      await arrives(page, page.locator("#bench").getByText("connected", { exact: true }));
      await press(page, button(page, /^Subscribe$/));
      await type(page, page.getByLabel("Payload"), "by hand");
      await press(page, button(page, /^Publish$/));
      await arrives(page, page.locator("#log li", { hasText: "[RECV]" }).filter({ hasText: "by hand" }));
      await press(page, button(page, /^Rotate$/));
      await arrives(page, page.locator("#bench div", { hasText: "Certificates so far" }).locator("dd", { hasText: "2" }));
      await press(page, button(page, /^Disconnect$/));
      await arrives(page, page.locator("#bench").getByText("disconnected"));
    } },
  { name: "wizard-refused", routes: ["POST /try/{serial}/{verb}"], on: UP, status: 409, by: pressed(() => "/try/never", /^Connect$/) },
  { name: "settings", routes: ["GET /settings"], on: BOTH, at: () => "/settings",
    does: async (page) => {
      await press(page, button(page, "Make a one-time link"));
      await page.locator("#link").waitFor();
    } },
  { name: "settings-link", routes: ["POST /settings/link"], on: BOTH, by: pressed(() => "/settings", "Make a one-time link") },
  { name: "login", routes: ["GET /login"], on: BOTH, who: "nobody", at: () => "/devices",
    does: async (page, site) => {
      await type(page, page.getByLabel("API token"), site.token);
      await page.keyboard.press("Enter");
      await page.waitForURL(`${site.url}/`);
    } },
  { name: "login-refused", routes: ["POST /login"], on: BOTH, who: "nobody", status: 401,
    by: async (page, site) => {
      await page.goto(`${site.url}/login`);
      await type(page, page.getByLabel("API token"), "a guess");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").waitFor();
    } },
  { name: "start-over", routes: ["GET /start/{ticket}"], on: BOTH, who: "nobody", status: 410, at: () => "/start/used-long-ago" },
  ...["/", "/devices", "/rotations", "/inventory", "/policies", "/provisioning", "/cleanup"].map((path) => ({
    name: `empty-${path.slice(1) || "overview"}`, routes: [`GET ${path}`], on: REMOVED, at: () => path,
  })),
  { name: "missing", routes: [], on: BOTH, status: 404, at: () => "/nothing", does: follows("Overview", "Overview") },
  { name: "missing-device", routes: ["GET /devices/{thing}"], on: BOTH, status: 404, at: () => "/devices/nobody" },
  { name: "strange-host", routes: [], on: BOTH, who: "nobody", status: 403, at: () => "/", host: "elsewhere.localhost" },
];

/** The screens that a program serves. */
export const screensOf = (name) => SCREENS.filter(({ on }) => [on].flat().includes(name));

/** What answers with no page, and with what instead. */
export const NO_PAGES = {
  "GET /assets/{name}": "what pages are drawn with",
  "GET /devices/{thing}/certificates/{id}": "a file",
  "GET /inventory.csv": "a file",
  "GET /events": "a stream",
  "GET /api/devices": "JSON",
  "GET /api/status": "JSON",
  "POST /api/{verb}": "JSON",
  "POST /do_login": "as POST /login",
  "POST /logout": "the way to GET /login",
};

/** Goes to a screen, by the keyboard where there is no address to type. */
export async function go(page, screen, site, turn = 0) {
  if (screen.by) {
    await screen.by(page, site, turn);
  } else {
    const url = new URL(screen.at(site, turn), site.url);
    if (screen.host) url.hostname = screen.host;
    const answer = await page.goto(url.href);
    assert.equal(answer.status(), screen.status ?? 200, url.href);
  }
  await page.locator("h1").first().waitFor({ state: "attached" });
}
