/** Waiting for a condition, never for a time. */
'use strict';

const { setTimeout: delay } = require('node:timers/promises');

/** Milliseconds after which a test gives up: nothing here is slow, this is for a busy machine. */
const BOUND = 60_000;

/** Waits until `condition` gives something true, and gives that. What `told` returns goes into the failure. */
async function until(what, condition, told = () => '', bound = BOUND) {
    const deadline = Date.now() + bound;
    for (;;) {
        const value = await condition();
        if (value) {
            return value;
        }
        if (Date.now() > deadline) {
            throw new Error(`waited ${bound} ms for ${what}\n${await told()}`);
        }
        await delay(20);
    }
}

module.exports = { until };
