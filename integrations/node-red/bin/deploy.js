#!/usr/bin/env node
/**
 * Has a running Node-RED read the files of its `tls-config` nodes again, through the Admin API: the way for
 * installations that take no plugin.
 *
 * A deploy of type `nodes` restarts only what changed and what names it, so each tls-config node that uses the files
 * is given another `certRev`, a property that Node-RED keeps and nothing reads. It is not done while the pair is torn:
 * Node-RED would then hang until the next deploy. See README.md for what a deploy loses and the settings that matter.
 *
 *     fleetkey-node-red-deploy --url http://127.0.0.1:1880 --certificate /var/lib/fleetkey/export/device.cert.pem
 *
 * The access token, if the Admin API wants one, is read from the file that FLEETKEY_NODE_RED_TOKEN_FILE names; a token
 * on the command line would be seen by everybody on the machine. It needs flows.read and flows.write, and no more.
 *
 * Which certificate Node-RED's connection is on afterwards cannot be seen from here, so nothing is asked to be retired; if the
 * agent waits for that, the line that asks is printed, for a flow to publish once the broker's word is the new certificate.
 *
 * Exit codes: 0 deployed; 1 refused or not reached; 2 called wrongly; 3 the files are torn or missing, nothing was done.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { retireRequest, socketOf, statusOf } = require('../lib/agent');
const { IdentityFiles } = require('../lib/identity');

/** How often a deploy is tried when somebody else deploys at the same time. */
const TRIES = 3;

class Refused extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}

async function main(args) {
    const { url, certificate } = options(args);
    const token = readToken();
    for (let attempt = 1; ; attempt += 1) {
        const { flows, rev } = await call(url, token, 'GET');
        const nodes = flows.filter(node => node.type === 'tls-config' && same(node.cert, certificate));
        if (nodes.length === 0) {
            throw new Refused(1, `no tls-config node of this Node-RED has the certificate file ${certificate}`);
        }
        await Promise.all(nodes.map(proven));
        nodes.forEach(node => { node.certRev = (node.certRev ?? 0) + 1; });
        const answer = await call(url, token, 'POST', { flows, rev });
        if (answer) {
            report(flows, nodes);
            await remind(certificate);
            return;
        }
        if (attempt === TRIES) {
            throw new Refused(1, 'somebody else deploys at the same time, again and again');
        }
    }
}

function options(args) {
    const { values } = parseArgs({
        args,
        options: { url: { type: 'string', default: 'http://127.0.0.1:1880' }, certificate: { type: 'string' } },
    });
    if (!values.certificate) {
        throw new Refused(2, 'usage: fleetkey-node-red-deploy [--url URL] --certificate FILE');
    }
    const url = new URL(values.url.endsWith('/') ? values.url : `${values.url}/`);
    const here = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
    if (url.protocol !== 'https:' && !here) {
        throw new Refused(2, `${url.hostname} is another machine: use https, or the token can be read on the way`);
    }
    return { url, certificate: values.certificate };
}

function readToken() {
    const file = process.env.FLEETKEY_NODE_RED_TOKEN_FILE;
    return file ? fs.readFileSync(file, 'utf8').trim() : undefined;
}

/** GET or POST of /flows; undefined when the flows have changed in between. */
async function call(url, token, method, body) {
    const headers = { 'Node-RED-API-Version': 'v2', 'Content-Type': 'application/json' };
    if (token) {
        headers.Authorization = `Bearer ${token}`;
    }
    if (method === 'POST') {
        headers['Node-RED-Deployment-Type'] = 'nodes';
    }
    const response = await fetch(new URL('flows', url), { method, headers, body: body && JSON.stringify(body), redirect: 'error' });
    if (method === 'POST' && response.status === 409) {
        return undefined;
    }
    if (response.status === 401) {
        throw new Refused(1, 'Node-RED wants a token that may read and write flows: FLEETKEY_NODE_RED_TOKEN_FILE');
    }
    if (!response.ok) {
        throw new Refused(1, `${method} flows: ${response.status} ${(await response.text()).slice(0, 200)}`);
    }
    return response.json();
}

function same(configured, certificate) {
    return typeof configured === 'string' && configured.trim() !== '' && path.resolve(configured.trim()) === path.resolve(certificate);
}

async function proven(node) {
    if (node.credentials?.passphrase !== undefined || node.credentials?.has_passphrase) {
        return;
    }
    const found = await new IdentityFiles(node.cert.trim(), node.key.trim(), { ca: (node.ca ?? '').trim() || undefined }).read();
    if (found.state !== 'whole') {
        throw new Refused(3, `${node.cert} is ${found.state}: ${found.why}; nothing was deployed`);
    }
}

function report(flows, nodes) {
    const brokers = flows.filter(node => node.type === 'mqtt-broker' && nodes.some(({ id }) => id === node.tls));
    for (const broker of brokers) {
        const risky = [];
        if (broker.cleansession !== false) {
            risky.push('cleansession is not false');
        }
        if (broker.autoUnsubscribe !== false) {
            risky.push('autoUnsubscribe is not false');
        }
        const warning = risky.length > 0 ? `; what is sent to it meanwhile is lost, because ${risky.join(' and ')}` : '';
        console.log(`restarted broker ${broker.name || broker.id}${warning}`);
    }
}

/** What is left to be said by the thing itself, whose session is Node-RED's. */
async function remind(certificate) {
    const status = await statusOf(socketOf(certificate)).catch(() => null);
    if (!status?.rotation || !['soak', 'retiring'].includes(status.state)) {
        return;
    }
    const { topic, payload } = retireRequest({ thing: status.thing, rotation: status.rotation });
    console.log(`the certificate before is still to be retired: when the presence event of ${status.thing} names ${status.certificate}, `
        + `have a flow publish on ${topic}\n${payload}`);
}

main(process.argv.slice(2)).catch(error => {
    const reason = error.cause?.message ? `: ${error.cause.message}` : '';
    console.error(`fleetkey-node-red-deploy: ${error.message}${reason}`);
    process.exitCode = error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? 2 : Number.isInteger(error.code) ? error.code : 1;
});
