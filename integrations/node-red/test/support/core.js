/** A local IoT Core of its own, and what an operator does there over REST. */
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const mqtt = require('mqtt');

const { Program, started } = require('./program');

const BINARY = path.resolve(process.env.FLEETKEY_BIN ?? path.join(__dirname, '../../../../target/debug/fleetkey'));
const POLICY = 'everything-of-its-own';

class Core {
    static async start(...options) {
        const core = new Core();
        core.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleetkey-node-red-core-'));
        return started(core, () => core.run(options));
    }

    async run(options) {
        this.program = new Program(BINARY, ['local', '--json', '--any-credentials', '--mqtt-port', '0', '--alpn-port', '0',
            '--rest', '127.0.0.1:0', '--data-dir', path.join(this.directory, 'data'), ...options]);
        this.ready = JSON.parse(await this.program.line('the ready line', line => line.includes('"ready"')));
        this.rootCa = this.ready.root_ca;
        await this.call('POST', `/policies/${POLICY}`, { policyDocument: JSON.stringify(document()) });
    }

    async stop() {
        await this.program?.stop();
        fs.rmSync(this.directory, { recursive: true, force: true });
    }

    /** A call of the control plane; its answer. */
    call(method, target, body, headers = {}) {
        const url = new URL(target, this.ready.api_url);
        return new Promise((resolve, reject) => {
            const request = http.request(url, { method, headers: { 'content-type': 'application/json', ...headers } }, response => {
                let text = '';
                response.setEncoding('utf8').on('data', data => { text += data; }).on('end', () => {
                    if (response.statusCode >= 300) {
                        reject(new Error(`${method} ${target}: ${response.statusCode} ${text}`));
                    } else {
                        resolve(text ? JSON.parse(text) : {});
                    }
                });
            });
            request.on('error', reject);
            request.end(body && JSON.stringify(body));
        });
    }

    /** A new ACTIVE certificate; without a policy nothing may connect with it. */
    async certificate({ policy = POLICY } = {}) {
        const made = await this.call('POST', '/keys-and-certificate?setAsActive=true');
        const identity = { id: made.certificateId, arn: made.certificateArn, cert: made.certificatePem, key: made.keyPair.PrivateKey };
        if (policy) {
            await this.call('PUT', `/target-policies/${policy}`, { target: identity.arn });
        }
        return identity;
    }

    deactivate(identity) {
        return this.call('PUT', `/certificates/${identity.id}?newStatus=INACTIVE`);
    }

    /** An observer with a certificate of its own: what it hears is what the broker delivers. */
    async observer(clientId, filters) {
        const { cert, key } = await this.certificate();
        const client = await mqtt.connectAsync(`mqtts://${this.ready.endpoint}:${this.ready.mqtt_port}`,
            { clientId, cert, key, ca: fs.readFileSync(this.rootCa), reconnectPeriod: 1100 });
        // Until here it tries again: AWS closes a CONNECT that comes within a second of the last one of its client id.
        client.options.reconnectPeriod = 0;
        const heard = [];
        client.on('message', (topic, payload) => heard.push({ topic, payload: payload.toString(), at: performance.now() }));
        await client.subscribeAsync(filters, { qos: 1 });
        return {
            client,
            heard,
            on: topic => heard.filter(message => message.topic === topic).map(message => JSON.parse(message.payload)),
            stop: () => client.endAsync(true),
        };
    }
}

function document() {
    const statement = ['iot:Connect', 'iot:Publish', 'iot:Receive', 'iot:Subscribe', 'iot:RetainPublish'];
    return { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: statement, Resource: '*' }] };
}

/** The broker's word: the certificate of the last connection of a client id. */
function principalOf(observer, clientId) {
    return observer.on(`$aws/events/presence/connected/${clientId}`).at(-1)?.principalIdentifier;
}

module.exports = { BINARY, Core, principalOf };
