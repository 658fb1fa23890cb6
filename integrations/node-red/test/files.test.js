/** What is taken for an identity, and what is not. */
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, beforeEach, afterEach, describe, test } = require('node:test');

const { IdentityFiles } = require('../lib/identity');
const { Export } = require('./support/export');

describe('files', () => {
    let directory, one, two, files;
    before(() => {
        directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-pairs-'));
        one = pair(directory, 'one');
        two = pair(directory, 'two');
    });
    after(() => fs.rmSync(directory, { recursive: true }));
    beforeEach(() => { files = new Export(); });
    afterEach(() => files.remove());

    const reader = options => new IdentityFiles(files.certificate, files.key, options);
    const inside = name => path.join(files.state, 'export', name);

    test('the certificate id is the SHA-256 of the certificate, as AWS counts it', async () => {
        files.swing(one);
        const { state, identity } = await reader().read();
        assert.equal(state, 'whole');
        const printed = execFileSync('openssl', ['x509', '-in', files.certificate, '-noout', '-fingerprint', '-sha256'], { encoding: 'utf8' });
        assert.equal(identity.certificateId, printed.split('=')[1].trim().replaceAll(':', '').toLowerCase());
    });

    test('the link is followed to its new directory', async () => {
        const read = reader();
        files.swing(one);
        const { identity: before } = await read.read();
        files.swing(two);
        const { identity: now } = await read.read();
        assert.notEqual(now.certificateId, before.certificateId);
    });

    test('what has not changed is not read again', async () => {
        const read = reader();
        files.swing(one);
        assert.equal((await read.read()).identity, (await read.read()).identity);
    });

    for (const [what, tear] of [
        ['a certificate and another one\'s key', f => fs.writeFileSync(f('device.key.pem'), two.key)],
        ['a bundle of another certificate', f => fs.writeFileSync(f('bundle.pem'), two.key + two.cert)],
        ['a bundle of two halves', f => fs.writeFileSync(f('bundle.pem'), two.key + one.cert)],
        ['an empty certificate', f => fs.writeFileSync(f('device.cert.pem'), '')],
        ['half a key', f => fs.writeFileSync(f('device.key.pem'), one.key.slice(0, one.key.length / 2))],
        ['a certificate where the key should be', f => fs.writeFileSync(f('device.key.pem'), one.cert)],
    ]) {
        test(`${what} is torn, and says nothing of the key`, async () => {
            files.swing(one);
            tear(inside);
            const { state, why } = await reader().read();
            assert.equal(state, 'torn');
            assert.ok(!why.includes('BEGIN') && !why.includes(one.key.split('\n')[1]), why);
        });
    }

    for (const name of ['device.cert.pem', 'device.key.pem']) {
        test(`without ${name} it is missing`, async () => {
            files.swing(one);
            fs.rmSync(inside(name));
            const { state, why } = await reader().read();
            assert.equal(state, 'missing');
            assert.match(why, new RegExp(`ENOENT.*${name}`));
        });
    }

    test('a pair without a bundle, as other programs write it, will do', async () => {
        files.swing(one);
        fs.rmSync(inside('bundle.pem'));
        assert.equal((await reader().read()).state, 'whole');
    });

    test('an endless file is refused before it is read', async () => {
        files.swing(one);
        fs.truncateSync(inside('device.cert.pem'), 1 << 30);
        const { state, why } = await reader().read();
        assert.equal(state, 'missing');
        assert.match(why, /longer than/);
    });

    test('an encrypted key opens with the tls-config node\'s passphrase', async () => {
        const key = execFileSync('openssl', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', 'pass:secret'], { input: one.key, encoding: 'utf8' });
        files.swing({ cert: one.cert, key });
        assert.equal((await reader({ passphrase: 'secret' }).read()).state, 'whole');
        assert.equal((await reader({ passphrase: 'other' }).read()).state, 'torn');
        assert.equal((await reader().read()).state, 'torn');
    });
});

function pair(directory, name) {
    const file = suffix => path.join(directory, `${name}.${suffix}`);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1',
        '-subj', `/CN=${name}`, '-keyout', file('key'), '-out', file('cert')], { stdio: 'pipe' });
    return { cert: fs.readFileSync(file('cert'), 'utf8'), key: fs.readFileSync(file('key'), 'utf8') };
}
