/** `fleetkey doctor node-red` before a Node-RED as people set it up. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { BINARY, Core } = require('./support/core');
const { Export } = require('./support/export');
const { broker } = require('./support/flows');
const { NodeRed } = require('./support/nodered');
const { Program } = require('./support/program');

const FAULTS = 30;
const TOKEN = 'a-token-of-this-test';
const input = { id: 'in', type: 'mqtt in', z: 'tab', topic: 'pm500/pump-01/commands', qos: '1', datatype: 'json', broker: 'broker', inputs: 0, wires: [] };
const tab = { id: 'tab', type: 'tab', label: 'doctor', disabled: false };
const closed = `disableEditor: true, adminAuth: {
    tokens: async token => token === '${TOKEN}' ? { username: 'doctor', permissions: ['flows.read', 'fleetkey.read'] } : null,
    type: 'credentials', users: [], authenticate: async () => null, default: async () => null },`;

/** Its exit code and findings, by kind. */
async function doctor(args, environment = {}) {
    const program = new Program(BINARY, ['doctor', 'node-red', '--json', ...args], { env: { ...process.env, ...environment } });
    const code = await program.ended;
    await new Promise(resolve => { setImmediate(resolve); });
    const line = program.lines.find(text => text.startsWith('{'));
    const kinds = line && JSON.parse(line).findings.map(({ kind, why, todo }) => { assert.ok(why && todo, line); return kind; }).sort();
    return { code, kinds, words: program.transcript() };
}

describe('doctor node-red', () => {
    let core, files;
    before(async () => {
        core = await Core.start();
        files = new Export();
    });
    after(async () => {
        files.remove();
        await core.stop();
    });

    test('a closed Admin API with good settings has nothing to be found, until the new certificate is refused', async () => {
        const first = await core.certificate();
        files.swing(first);
        const red = await NodeRed.start([tab, input, ...broker(core, files)], { settings: closed });
        const url = ['--url', `http://127.0.0.1:${red.port}`, '--thing', 'pump-01'];
        const tokenFile = path.join(red.directory, 'token');
        fs.writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
        const token = { FLEETKEY_NODE_RED_TOKEN_FILE: tokenFile };
        try {
            await red.on(first);
            const good = await doctor(url, token);
            assert.deepEqual([good.code, good.kinds], [0, []], good.words);
            const without = await doctor(url);
            assert.equal(without.code, 1, without.words);
            assert.match(without.words, /FLEETKEY_NODE_RED_TOKEN_FILE/);
            const foreign = await doctor([...url, '--principal', 'ab'.repeat(32)], token);
            assert.deepEqual([foreign.code, foreign.kinds], [FAULTS, ['stale_certificate']], foreign.words);

            const refused = await core.certificate({ policy: null });
            files.swing(refused);
            await red.reports('the refusal', ({ connections: [connection] }) =>
                connection?.wanted === refused.id && connection.connected && connection.certificate_id === first.id && connection.last_swap);
            const stale = await doctor(url, token);
            assert.deepEqual([stale.code, stale.kinds], [FAULTS, ['stale_certificate']], stale.words);
        } finally {
            await red.stop();
        }
    });

    test('an open Admin API and settings that lose things are found, each with its kind', async () => {
        files.swing(await core.certificate());
        const careless = broker(core, files, { clientid: 'node-red-1', cleansession: true, autoConnect: false });
        Object.assign(careless[0], { cert: '', key: '', certname: 'device.pem', keyname: 'device.key', verifyservercert: false });
        const red = await NodeRed.start([tab, { ...input, qos: '0' }, ...careless], { plugin: false, settings: '' });
        try {
            const found = await doctor(['--url', `http://127.0.0.1:${red.port}`, '--thing', 'pump-01']);
            const kinds = ['admin_open', 'clean_session', 'client_id', 'qos_0', 'server_not_verified', 'uploaded_key'];
            assert.deepEqual([found.code, found.kinds], [FAULTS, kinds], found.words);
            const offline = await doctor(['--flows', path.join(red.directory, 'flows.json'), '--thing', 'pump-01']);
            assert.deepEqual([offline.code, offline.kinds], [FAULTS, kinds.slice(1)], offline.words);
        } finally {
            await red.stop();
        }
    });
});
