/** The plugin in Node-RED: how it comes, what it serves, how it goes. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, afterEach, before, beforeEach, describe, test } = require('node:test');

const { Asked } = require('./support/asked');
const { Core } = require('./support/core');
const { Export } = require('./support/export');
const { broker, gaps, tally, traffic } = require('./support/flows');
const { NodeRed, PACKAGE } = require('./support/nodered');
const { Program } = require('./support/program');
const { until } = require('./support/wait');

const TELEMETRY = 'pm500/pump-01/telemetry';
const TOKENS = { operator: '*', deployer: 'flows.read flows.write' };
/** The Admin API with two tokens, and no way to log in. */
const ADMIN = `disableEditor: true, adminAuth: {
    tokens: async token => (${JSON.stringify(TOKENS)})[token] && { username: token, permissions: (${JSON.stringify(TOKENS)})[token].split(' ') },
    type: 'credentials', users: [], authenticate: async () => null, default: async () => null },`;

describe('life', () => {
    let core, files, first, observer, red;
    before(async () => { core = await Core.start(); });
    after(() => core.stop());
    beforeEach(async () => {
        files = new Export();
        first = await core.certificate();
        files.swing(first);
        observer = await core.observer('observer', [TELEMETRY, '$aws/events/presence/connected/pump-01']);
    });
    afterEach(async () => {
        await red?.stop();
        red = undefined;
        await observer.stop();
        files.remove();
    });

    const start = (options, overrides) => NodeRed.start([...broker(core, files, overrides), ...traffic(0.05)], options);
    const authorized = token => ({ headers: { Authorization: `Bearer ${token}` } });
    const state = async () => JSON.parse((await red.request('GET', '/state')).text);
    const deploy = (...args) => deployWith('deployer', ...args);
    async function deployWith(token, ...args) {
        const file = path.join(files.state, 'token');
        fs.writeFileSync(file, token, { mode: 0o600 });
        const program = new Program(process.execPath, [path.join(PACKAGE, 'bin/deploy.js'), '--url', `http://127.0.0.1:${red.port}`,
            '--certificate', files.certificate, ...args], { env: { ...process.env, FLEETKEY_NODE_RED_TOKEN_FILE: file } });
        return { code: await program.ended, text: program.transcript() };
    }

    test('Node-RED ends at once with the plugin in it, and the report then claims no connection', async () => {
        red = await start();
        await red.on(first);
        assert.equal(fs.statSync(red.reportFile).mode & 0o777, 0o644);
        assert.equal(await red.program.stop(), 0);
        assert.deepEqual(red.report().connections, []);
    });

    test('the report is served to who may read it, and holds no secret', async () => {
        red = await start({ settings: ADMIN });
        await red.on(first);
        assert.equal((await red.request('GET', '/fleetkey/connections')).status, 401);
        assert.equal((await red.request('GET', '/fleetkey/connections', authorized('deployer'))).status, 401);
        const { status, text } = await red.request('GET', '/fleetkey/connections', authorized('operator'));
        assert.equal(status, 200);
        assert.equal(JSON.parse(text).connections[0].certificate_id, first.id);
        assert.ok(!text.includes('PRIVATE') && !fs.readFileSync(red.reportFile, 'utf8').includes('PRIVATE'));
    });

    test('uninstalled, it leaves no report, no route and no watch, and the connection stays', async () => {
        red = await start({ settings: ADMIN });
        await red.on(first);
        const { status, text } = await red.request('DELETE', '/nodes/node-red-contrib-fleetkey', authorized('operator'));
        assert.equal(status, 204, text);
        assert.ok(!fs.existsSync(red.reportFile));
        assert.equal((await red.request('GET', '/fleetkey/connections', authorized('operator'))).status, 404);
        files.swing(await core.certificate());
        const heard = observer.on(TELEMETRY).length;
        await until('a second of telemetry', () => observer.on(TELEMETRY).length >= heard + 20);
        assert.equal(observer.on('$aws/events/presence/connected/pump-01').length, 1);
        assert.ok(!fs.existsSync(red.reportFile));
    });

    test('a setting that is wrong is named, and Node-RED runs without the plugin', async () => {
        red = await start({ settings: 'httpAdminRoot: false, fleetkey: { pol: 5 },' });
        await red.program.line('the complaint', line => line.includes('fleetkey.pol is unknown'));
        await until('telemetry', () => observer.on(TELEMETRY).length > 0);
    });

    test('two brokers on the same files are both moved', async () => {
        const flows = [...broker(core, files), ...traffic(0.05),
            { ...broker(core, files)[1], id: 'second', clientid: 'pump-02' },
            { id: 'out2', type: 'mqtt out', z: 'tab', topic: 'pm500/pump-02/telemetry', qos: '1', broker: 'second', wires: [] }];
        red = await NodeRed.start(flows);
        const both = id => red.reports('both', ({ connections }) => connections.length === 2 && connections.every(c => c.certificate_id === id));
        await both(first.id);
        const second = await core.certificate();
        files.swing(second);
        await both(second.id);
    });

    test('without the plugin, a deploy of type nodes has the new files used, and loses nothing but what falls into its gap', async context => {
        red = await start({ plugin: false, settings: ADMIN });
        let commands = 0;
        const flow = setInterval(() => observer.client.publish('pm500/pump-01/commands', JSON.stringify({ n: ++commands }), { qos: 1 }), 50);
        const so = async () => ({ up: observer.on(TELEMETRY).length, down: (await state()).came.length, ...await state() });
        let before, after;
        try {
            before = await until('messages both ways', async () => { const now = await so(); return now.up >= 10 && now.down >= 10 && now; });
            const second = await core.certificate();
            files.swing(second);
            const { code, text } = await deploy();
            assert.equal(code, 0, text);
            assert.match(text, /restarted broker core$/m);
            await until('the new certificate', () => observer.on('$aws/events/presence/connected/pump-01').at(-1).principalIdentifier === second.id);
            await until('both connections in the status', async () => (await state()).status.filter(fill => fill === 'green').length >= 2);
            after = { commands, made: (await state()).made };
        } finally {
            clearInterval(flow);
        }
        await until('the last command', async () => (await state()).came.includes(commands));
        const { came, made, started } = await state();
        await until('the last telemetry', () => observer.on(TELEMETRY).some(({ n }) => n >= made));
        const up = tally(observer.on(TELEMETRY).map(({ n }) => n), made);
        const down = tally(came, commands);
        context.diagnostic(`${made} sent, ${up.lost.length} lost, ${up.again} again; ${commands} commands, ${down.lost.length} lost, ${down.again} again`);
        assert.equal(started, 1, 'flows that are not about MQTT are not restarted');
        // How long the gap is depends on the machine; that there is one, and that nothing is lost outside of it, does not.
        assert.ok(gaps(up.lost) <= 1 && gaps(down.lost) <= 1, `one gap either way: ${up.lost}; ${down.lost}`);
        assert.equal(up.again, 0, 'the client that Node-RED makes anew sends nothing again');
        assert.deepEqual(up.lost.filter(n => n <= before.up || n > after.made), []);
        assert.deepEqual(down.lost.filter(n => n <= before.down || n > after.commands), []);
    });

    test('a deploy is not made on a torn pair, nor without leave, and tells of settings that lose commands', async () => {
        red = await start({ plugin: false, settings: ADMIN }, { cleansession: true, autoUnsubscribe: true });
        await until('telemetry', () => observer.on(TELEMETRY).length > 0);
        const refused = await deployWith('nobody');
        assert.equal(refused.code, 1, refused.text);
        assert.match(refused.text, /wants a token/);
        assert.equal((await deploy('--url', 'http://192.0.2.1:1880')).code, 2);
        const second = await core.certificate();
        files.swing({ cert: second.cert, key: first.key });
        const torn = await deploy();
        assert.equal(torn.code, 3, torn.text);
        assert.equal(observer.on('$aws/events/presence/connected/pump-01').length, 1);
        files.swing(second);
        const made = await deploy();
        assert.equal(made.code, 0, made.text);
        assert.match(made.text, /cleansession is not false and autoUnsubscribe is not false/);
        assert.doesNotMatch(made.text, /to be retired/);
    });

    test('a deploy tells what is left to be said for the old certificate to be retired, and does not say it', async () => {
        red = await start({ plugin: false, settings: ADMIN });
        await until('telemetry', () => observer.on(TELEMETRY).length > 0);
        const second = await core.certificate();
        files.swing(second);
        const agent = await Asked.at(files.state, () => ({ state: 'soak', thing: 'pump-01', certificate: second.id, rotation: 'r1' }));
        const { code, text } = await deploy();
        await agent.stop();
        assert.equal(code, 0, text);
        assert.match(text, new RegExp(`when the presence event of pump-01 names ${second.id}, have a flow publish on fleetkey/things/pump-01/requests\n`
            + '\\{"op":"retire","id":"r1"\\}$', 'm'));
    });
});
