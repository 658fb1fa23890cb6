/** What goes wrong around a rotation, and that a connection survives it. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, afterEach, before, beforeEach, describe, test } = require('node:test');

const { Agent } = require('./support/agent');
const { Asked } = require('./support/asked');
const { Core, principalOf } = require('./support/core');
const { Export } = require('./support/export');
const { broker, gaps, tally, traffic } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { until } = require('./support/wait');

const TELEMETRY = 'pm500/pump-01/telemetry';
const CONNECTED = '$aws/events/presence/connected/pump-01';

describe('trouble', () => {
    let core, files, first, observer, red;
    before(async () => { core = await Core.start(); });
    after(() => core.stop());
    beforeEach(async () => {
        files = new Export();
        first = await core.certificate();
        files.swing(first);
        observer = await core.observer('observer', [TELEMETRY, CONNECTED]);
    });
    afterEach(async () => {
        await red?.stop();
        red = undefined;
        await observer.stop();
        files.remove();
    });

    const start = options => NodeRed.start([...broker(core, files), ...traffic(0.05)], options);
    const made = async () => JSON.parse((await red.request('GET', '/state')).text).made;
    const passes = async () => {
        const heard = observer.on(TELEMETRY).length;
        await until('telemetry', () => observer.on(TELEMETRY).length >= heard + 10, () => red.program.transcript());
    };

    test('a torn pair is reported and touches nothing, and a whole one is taken', async () => {
        red = await start();
        const { connections: [was] } = await red.on(first);
        const second = await core.certificate();
        files.swing({ cert: second.cert, key: first.key });
        const { exports: [torn] } = await red.reports('a torn pair', ({ exports }) => exports[0]?.state === 'torn');
        assert.match(torn.why, /not the certificate's/);
        await passes();
        assert.deepEqual(red.connection(), { ...was, wanted: null });
        assert.equal(observer.on(CONNECTED).length, 1);
        files.swing(second);
        await red.on(second);
        assert.equal(principalOf(observer, 'pump-01'), second.id);
    });

    test('a file that is missing is reported and logged, and the connection stays', async () => {
        red = await start();
        await red.on(first);
        fs.rmSync(path.join(files.state, 'export'));
        const { exports: [missing] } = await red.reports('a missing file', ({ exports }) => exports[0]?.state === 'missing');
        assert.match(missing.why, /ENOENT/);
        await red.program.line('a warning', line => line.includes('[fleetkey]') && line.includes('is missing: ENOENT'));
        await passes();
        assert.equal(observer.on(CONNECTED).length, 1);
        const second = await core.certificate();
        files.swing(second);
        await red.on(second);
    });

    test('a pair that is torn when Node-RED starts does not keep it from connecting for ever', async () => {
        const second = await core.certificate();
        files.swing({ cert: second.cert, key: first.key });
        red = await start();
        await red.reports('a torn pair', ({ exports }) => exports[0]?.state === 'torn');
        assert.equal(observer.on(CONNECTED).length, 0);
        files.swing(second);
        await red.on(second);
        await passes();
    });

    test('files that are missing when Node-RED starts are used once they are there', async () => {
        const { certificate, key } = files;
        fs.rmSync(path.join(files.state, 'export'));
        red = await start();
        await red.reports('a missing file', ({ exports }) => exports[0]?.state === 'missing');
        files.swing(first);
        assert.ok(fs.existsSync(certificate) && fs.existsSync(key));
        await red.on(first);
        await passes();
    });

    test('a certificate that the broker refuses costs nothing: the one before goes on, and it is tried again', async () => {
        red = await start({ settings: 'httpAdminRoot: false, fleetkey: { poll: 100, retryRefused: 3000 },' });
        await red.on(first);
        await passes();
        const second = await core.certificate({ policy: null });
        files.swing(second);
        const { connections: [refused] } = await red.reports('a refusal', ({ connections }) => connections[0]?.last_swap?.outcome === 'refused');
        assert.equal(refused.certificate_id, first.id);
        assert.equal(refused.last_swap.certificate_id, second.id);
        assert.equal(refused.last_swap.refused, 0, 'no message was given up');
        await core.call('PUT', '/target-policies/everything-of-its-own', { target: second.arn });
        await red.on(second);
        await passes();
        const last = await made();
        await until('the last telemetry', () => observer.on(TELEMETRY).some(({ n }) => n === last));
        assert.deepEqual(tally(observer.on(TELEMETRY).map(({ n }) => n).filter(n => n <= last), last), { last, lost: [], again: 0 });
    });

    test('why a connection fails is logged, and an agent that watches the log raises an alarm and rotates for it', async () => {
        const other = await Core.start('--setup');
        let agent;
        try {
            const log = path.join(files.state, 'red.log');
            agent = await Agent.start(other, 'pump-02', { more: `[watch]\nfile = "${log}"\nrotate = true\nspacing = "0s"` });
            const { certificate: before } = await agent.status();
            red = await NodeRed.start([...broker({ ...core, ready: core.ready, rootCa: other.rootCa }, files), ...traffic(1)],
                { log });
            const line = await red.program.line('the reason', line => /\[fleetkey\] broker .*certificate/.test(line));
            const told = await agent.event('the alarm', ({ event }) => event === 'client_trouble');
            assert.equal(told.trouble, 'server_identity', line);
            assert.equal(told.held_back, undefined, told.held_back);
            const { reason, certificate } = await agent.event('the rotation', ({ event, reason }) => event === 'committed' && reason !== 'provision');
            assert.notEqual(certificate, before);
            assert.equal(reason, 'compromise');
        } finally {
            await agent?.stop();
            await other.stop();
        }
    });

    test('a policy that lets nobody ask for retirement costs one connection, is told, and is no loop', async () => {
        const arn = what => `arn:aws:iot:*:*:${what}`;
        const allow = (Action, Resource) => ({ Effect: 'Allow', Action, Resource });
        await core.call('POST', '/policies/telemetry-alone', { policyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [
            allow('iot:Connect', '*'), allow(['iot:Publish', 'iot:Receive'], arn('topic/pm500/*')), allow('iot:Subscribe', '*')] }) });
        const narrow = await core.certificate({ policy: 'telemetry-alone' });
        files.swing(narrow);
        const agent = await Asked.at(files.state, () => ({ state: 'retiring', thing: 'pump-01', certificate: narrow.id, rotation: 'r1' }));
        try {
            red = await start({ settings: 'httpAdminRoot: false, fleetkey: { poll: 100, agent: 100 },' });
            await red.program.line('why', line => line.includes('does the policy allow publishing on fleetkey/things/pump-01/requests?'));
            await until('a connection again', () => observer.on(CONNECTED).length === 2, () => red.program.transcript());
            await passes();
            const { questions } = agent;
            await until('questions to the agent', () => agent.questions >= questions + 5);
            await passes();
            assert.equal(observer.on(CONNECTED).length, 2);
            const { exports: [{ retirement }] } = red.report();
            assert.deepEqual([retirement.rotation, retirement.times], ['r1', 1]);
        } finally {
            await agent.stop();
        }
    });

    test('a connection that was cut for its old certificate comes back on the new one by itself', async () => {
        red = await start();
        await red.on(first);
        await core.deactivate(first);
        await red.reports('the cut', ({ connections }) => connections[0]?.connected === false);
        const second = await core.certificate();
        files.swing(second);
        await red.on(second);
        await passes();
    });

    test('control: files replaced and nothing told: the old certificate\'s end is the connection\'s, and all is lost either way', async context => {
        red = await start({ plugin: false });
        await passes();
        files.swing(await core.certificate());
        await passes();
        assert.equal(principalOf(observer, 'pump-01'), first.id);
        await core.deactivate(first);
        await red.program.line('the cut', line => line.includes('Disconnected from broker'));
        const heard = observer.on(TELEMETRY).length;
        const last = await made();
        const commands = Array.from({ length: 10 }, (_, n) => n + 1);
        for (const n of commands) {
            await observer.client.publishAsync('pm500/pump-01/commands', JSON.stringify({ n }), { qos: 1 });
        }
        await until('80 messages more, which is two tries to connect', async () => await made() >= last + 80);
        assert.equal(observer.on(TELEMETRY).length, heard);
        const { came } = JSON.parse((await red.request('GET', '/state')).text);
        assert.deepEqual(commands.filter(n => came.includes(n)), []);
        context.diagnostic(`lost: telemetry ${await made() - last} and more, commands ${commands.length} of ${commands.length}`);
    });
});

test('where the session does not survive the change of certificate, subscriptions are made again: nothing is lost upwards, and one gap of commands', async context => {
    const core = await Core.start('--session-survives-certificate-change', 'false');
    const files = new Export();
    let red, observer, flow;
    try {
        files.swing(await core.certificate());
        observer = await core.observer('observer', [TELEMETRY, CONNECTED, '$aws/events/subscriptions/subscribed/pump-01']);
        red = await NodeRed.start([...broker(core, files), ...traffic(0.03)]);
        const state = async () => JSON.parse((await red.request('GET', '/state')).text);
        await until('the subscription', () => observer.on('$aws/events/subscriptions/subscribed/pump-01').length > 0, () => red.program.transcript());
        let commands = 0;
        flow = setInterval(() => observer.client.publish('pm500/pump-01/commands', JSON.stringify({ n: ++commands }), { qos: 1 }), 30);
        const passes = async () => {
            const [up, down] = [observer.on(TELEMETRY).length + 10, (await state()).came.length + 10];
            await until('messages either way', async () => observer.on(TELEMETRY).length >= up && (await state()).came.length >= down);
        };
        await passes();
        const second = await core.certificate();
        files.swing(second);
        await red.on(second);
        await passes();
        clearInterval(flow);
        await until('the last command', async () => (await state()).came.includes(commands), async () => JSON.stringify(await state()));
        const { came, made: last } = await state();
        await until('the last telemetry', () => observer.on(TELEMETRY).some(({ n }) => n === last));
        const up = tally(observer.on(TELEMETRY).map(({ n }) => n).filter(n => n <= last), last);
        const down = tally(came, commands);
        context.diagnostic(`held ${red.connection().last_swap.milliseconds} ms; ${down.last} commands, ${down.lost.length} lost, ${down.again} again`);
        assert.deepEqual(up, { last, lost: [], again: 0 });
        assert.ok(gaps(down.lost) <= 1, `what is lost of commands is one gap: ${down.lost}`);
        assert.equal(down.again, 0, 'a session that is gone repeats nothing');
    } finally {
        clearInterval(flow);
        await red?.stop();
        await observer?.stop();
        await core.stop();
        files.remove();
    }
});
