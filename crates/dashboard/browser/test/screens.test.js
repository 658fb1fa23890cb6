// There is no screen but those that are looked at.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { NO_PAGES, SCREENS } from "./screens.js";

test("the table of screens has every address that the router answers, and no other", () => {
  const source = readFileSync(new URL("../../src/router/routes.rs", import.meta.url), "utf8");
  const listed = (name) => source.match(new RegExp(`const ${name}: .*?= \\[(.*?)\\];`, "s"))[1].match(/"(.*?)"/g);
  const list = (name, method) => listed(name).map((route) => `${method} ${route.slice(1, -1)}`);
  const known = [...list("READS", "GET"), ...list("ORDERS", "POST")];
  assert.ok(known.length > 30, "the router's list was read");
  const here = new Set([...SCREENS.flatMap(({ routes }) => routes), ...Object.keys(NO_PAGES)]);
  assert.deepEqual([...here].sort(), known.sort());
});
