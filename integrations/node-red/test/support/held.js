/** How long rotations held a client, in words. */
'use strict';

/** Milliseconds that the 99th percentile is to stay below. */
const LIMIT = 100;

/** The smallest of the values that so large a share of them does not exceed. */
function percentile(values, share) {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** Milliseconds that 99 of 100 rotations did not exceed; of fewer than a hundred rotations, the longest. */
function p99(moves) {
    return percentile(moves.map(move => move.held_ms), 0.99);
}

/** @param {{held_ms: number}[]} moves */
function held(moves) {
    const values = moves.map(move => move.held_ms);
    const told = [['p50', 0.5], ['p99', 0.99], ['most', 1]].map(([name, share]) => {
        const value = percentile(values, share);
        return `${name} ${value} ms (${(value / LIMIT).toFixed(2)})`;
    });
    return `held ${told.join(', ')} of ${LIMIT} ms`;
}

module.exports = { LIMIT, held, p99 };
