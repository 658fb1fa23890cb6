/** Node-RED beside a real agent that rotates, with a controller that takes the old certificates away. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');

const { BINARY, Core, principalOf } = require('./support/core');
const { broker, tally, traffic } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { Program } = require('./support/program');
const { until } = require('./support/wait');

// The agent has the thing's own session here, so Node-RED comes under the other client id that the device policy allows.
const CLIENT = 'meter-1~agent';
const TELEMETRY = 'device/meter-1/telemetry';

test('the files of an agent that rotates are followed, and old certificates can be taken away', async context => {
    const core = await Core.start('--setup', '--grace', '1s');
    const device = (verb, ...more) => new Program(BINARY, ['device', verb, '--serial', 'meter-1', '--data-dir', path.join(core.directory, 'data'), ...more]);
    let agent, observer, red;
    try {
        const provision = device('provision');
        assert.equal(await provision.ended, 0, provision.transcript());
        const directory = path.join(core.directory, 'data/devices/meter-1/export');
        const files = { certificate: path.join(directory, 'device.cert.pem'), key: path.join(directory, 'device.key.pem') };
        observer = await core.observer('observer', [TELEMETRY, `$aws/events/presence/connected/${CLIENT}`]);
        red = await NodeRed.start([...broker(core, files, { clientid: CLIENT, willTopic: '' }), ...traffic(0.05, 'device/meter-1')],
            { settings: 'httpAdminRoot: false, fleetkey: { poll: 100 },' });
        await until('telemetry', () => observer.on(TELEMETRY).length > 0, () => red.program.transcript());
        agent = device('connect');
        await agent.line('the live session', line => line.includes('"link_up"'));
        for (let rotation = 1; rotation <= 2; rotation += 1) {
            const before = principalOf(observer, CLIENT);
            const said = agent.lines.length;
            const order = device('rotate');
            assert.equal(await order.ended, 0, order.transcript());
            await until('the broker\'s word on a new certificate', () => principalOf(observer, CLIENT) !== before, () => red.program.transcript());
            await agent.line('the end of the old certificate', line => line.includes('"retired"'), said);
        }
        const heard = observer.on(TELEMETRY).length;
        await until('telemetry', () => observer.on(TELEMETRY).length >= heard + 20);
        const { made } = JSON.parse((await red.request('GET', '/state')).text);
        await until('the last telemetry', () => observer.on(TELEMETRY).some(({ n }) => n === made));
        const up = tally(observer.on(TELEMETRY).map(({ n }) => n).filter(n => n <= made), made);
        context.diagnostic(`${made} sent, ${up.lost.length} lost, ${up.again} again`);
        assert.deepEqual(up, { last: made, lost: [], again: 0 });
        assert.equal(red.connection().swaps, 2);
    } finally {
        await red?.stop();
        await agent?.stop();
        await observer?.stop();
        await core.stop();
    }
});
