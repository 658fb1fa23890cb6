/** Rotations under load, against a real Node-RED and the local IoT Core. */
'use strict';

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { Core, principalOf } = require('./support/core');
const { Export } = require('./support/export');
const { broker, gaps, tally, traffic } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { until } = require('./support/wait');

const ROTATIONS = Number(process.env.FLEETKEY_ROTATIONS ?? 5);
const TELEMETRY = 'pm500/pump-01/telemetry';
const COMMANDS = 'pm500/pump-01/commands';
const WILL = 'pm500/pump-01/will';

/** Runs traffic both ways over a number of rotations; what was sent, lost, and delivered again. */
async function rotate(core, overrides) {
    const files = new Export();
    files.swing(await core.certificate());
    const observer = await core.observer('observer', [TELEMETRY, WILL, '$aws/events/presence/connected/pump-01', '$aws/events/subscriptions/subscribed/pump-01']);
    const red = await NodeRed.start([...broker(core, files, overrides), ...traffic(0.03)]);
    const state = async () => JSON.parse((await red.request('GET', '/state')).text);
    let commands = 0;
    let flow;
    try {
        await until('the subscription', () => observer.on('$aws/events/subscriptions/subscribed/pump-01').length > 0, () => red.program.transcript());
        flow = setInterval(() => observer.client.publish(COMMANDS, JSON.stringify({ n: ++commands }), { qos: 1 }), 50);
        for (let n = 1; n <= ROTATIONS; n += 1) {
            const heard = observer.on(TELEMETRY).length;
            await until('traffic', () => observer.on(TELEMETRY).length >= heard + 20);
            const next = await core.certificate();
            files.swing(next);
            await red.on(next);
            await until('the broker\'s word', () => principalOf(observer, 'pump-01') === next.id);
        }
        const swaps = red.connection().last_swap;
        const heard = observer.on(TELEMETRY).length;
        await until('traffic after the last rotation', () => observer.on(TELEMETRY).length >= heard + 20);
        clearInterval(flow);
        await until('the last command', async () => (await state()).came.includes(commands), async () => JSON.stringify(await state()));
        const { made, status } = await state();
        await until('the last telemetry', () => observer.on(TELEMETRY).some(({ n }) => n === made));
        const { came } = await state();
        return {
            up: tally(observer.on(TELEMETRY).map(({ n }) => n).filter(n => n <= made), made),
            down: tally(came, commands),
            order: observer.on(TELEMETRY).map(({ n }) => n),
            wills: observer.on(WILL).length,
            status,
            connects: observer.on('$aws/events/presence/connected/pump-01').length,
            swaps: red.connection().swaps,
            last: swaps,
            log: red.program.lines.filter(line => line.includes('moved from')),
            disconnects: red.program.lines.filter(line => line.includes('Disconnected from broker')).length,
        };
    } finally {
        clearInterval(flow);
        await red.stop();
        await observer.stop();
        files.remove();
    }
}

function tell(context, { up, down, log, wills, connects }) {
    const held = log.map(line => Number(/in (\d+) ms/.exec(line)[1]));
    context.diagnostic(`up: ${up.last} sent, ${up.lost.length} lost, ${up.again} again; down: ${down.last} sent, ${down.lost.length} lost, ${down.again} again; `
        + `${log.length} rotations, held ${held.join(', ')} ms; ${wills} wills, ${connects} connects`);
}

describe('rotations under load', () => {
    let core;
    before(async () => { core = await Core.start(); });
    after(() => core.stop());

    for (const protocolVersion of ['4', '5']) {
        test(`a persistent session of MQTT ${protocolVersion} loses and repeats nothing either way`, async context => {
            const found = await rotate(core, { protocolVersion });
            tell(context, found);
            assert.deepEqual(found.up.lost, []);
            assert.deepEqual(found.down.lost, []);
            assert.equal(found.up.again, 0, 'telemetry that came twice');
            assert.deepEqual(found.order, [...found.order].sort((a, b) => a - b), 'telemetry stays in order');
            assert.equal(found.swaps, ROTATIONS);
            assert.equal(found.connects, ROTATIONS + 1, 'one CONNECT a rotation');
            assert.equal(found.wills, 0, 'wills');
            assert.equal(found.disconnects, 0, 'Node-RED saw no disconnect');
            assert.equal(found.status.indexOf('red', found.status.indexOf('green')), -1, `the nodes' status stays green: ${found.status}`);
        });
    }

    test('a clean session loses no telemetry, and what is sent to it meanwhile as MQTT says', async context => {
        const found = await rotate(core, { cleansession: true });
        tell(context, found);
        assert.deepEqual(found.up.lost, []);
        assert.equal(found.up.again, 0);
        assert.equal(found.wills, 0);
        assert.ok(gaps(found.down.lost) <= ROTATIONS, `more than one gap a rotation in what is lost: ${found.down.lost}`);
    });
});
