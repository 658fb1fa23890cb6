// What cuts a device off: told first, done only after an admin has shown who they are, and seen in journal and inventory.
// And the names that the environment gives.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { inUse, open, picture, sound, trial } from "./support.js";

const TOKEN = "a token of an admin";

let site, chrome, context, end;

before(async () => {
  const environment = { API_TOKEN: TOKEN, AWS_REGION: "eu-central-1", IOT_TEMPLATE_NAME: "Presses" };
  ({ site, chrome, context, end } = await trial({ environment }, "--devices", "2", "--rotate-every", "1h"));
});

after(() => end?.());

test("the environment names region and templates, and every page says where it is", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/settings`);
  assert.match(await page.locator("#site + dl").textContent(), /eu-central-1/);
  await page.goto(`${site.url}/provisioning`);
  for (const name of ["Presses", "Presses-rotate", "Presses-recover"]) {
    await page.getByRole("rowheader", { name, exact: true }).waitFor();
  }
  await page.close();
});

test("a certificate is deactivated after a look, and the journal and the inventory know it", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/devices/device-0001`);
  const certificate = await inUse(page);
  await page.getByRole("button", { name: `Deactivate certificate ${certificate.slice(0, 8)}` }).click();
  await page.getByText("This is the identity in use").waitFor();
  await sound(page);
  await picture(page, "deactivate");
  await page.getByLabel("Why, for the journal").fill("it was stolen");
  await page.getByRole("button", { name: "Deactivate", exact: true }).click();
  await page.waitForURL(`${site.url}/devices/device-0001`);
  await page.locator("#certificates tr", { hasText: certificate.slice(0, 8) }).getByText("INACTIVE").waitFor();
  await page.goto(`${site.url}/journal`);
  const entry = page.locator("tr", { hasText: certificate }).filter({ hasText: "deactivate" });
  assert.match(await entry.textContent(), /session [0-9a-f]{8}.*because it was stolen.*done/s);
  await page.goto(`${site.url}/inventory?status=INACTIVE`);
  await page.locator("th code").first().waitFor();
  const told = await page.locator("th code").evaluateAll((codes) => codes.map((code) => code.title));
  assert.ok(told.includes(certificate), told.join());
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "All of them as CSV" }).click();
  const text = readFileSync(await (await download).path(), "utf8");
  assert.ok(text.includes(`"${certificate}","device-0001","INACTIVE"`), text);
  await page.goto(`${site.url}/devices/device-0001`);
  await page.getByRole("button", { name: `Reactivate certificate ${certificate.slice(0, 8)}` }).click();
  await page.getByLabel("Why, for the journal").fill("it was found");
  await page.getByRole("button", { name: "Reactivate", exact: true }).click();
  await page.locator("#state").getByText("connected", { exact: true }).waitFor();
  await page.close();
});

test("a browser that came by a link of another enters a token first", async () => {
  const page = await open(context);
  await page.goto(`${site.url}/settings`);
  await page.getByRole("button", { name: "Make a one-time link" }).click();
  const link = await page.locator("#link").textContent();
  await page.close();
  const other = await chrome.newContext({ javaScriptEnabled: false });
  const plain = await other.newPage();
  await plain.goto(link);
  await plain.waitForURL(`${site.url}/`);
  await plain.goto(`${site.url}/devices/device-0002`);
  await plain.getByRole("button", { name: /^Deactivate certificate/ }).click();
  await plain.getByLabel("Why, for the journal").fill("it was stolen");
  await plain.getByLabel("Token of an admin").fill("a guess");
  await plain.getByRole("button", { name: "Deactivate", exact: true }).click();
  await plain.getByText("this token is not known").waitFor();
  await plain.getByLabel("Token of an admin").fill(TOKEN);
  await plain.getByRole("button", { name: "Deactivate", exact: true }).click();
  await plain.waitForURL(`${site.url}/devices/device-0002`);
  await plain.goto(`${site.url}/journal`);
  await plain.locator("tr", { hasText: "token API_TOKEN" }).filter({ hasText: "deactivate" }).waitFor();
  await other.close();
});
