/**
 * Looks again and again at the files and at the connections, and moves each connection that is on another certificate
 * than the files hold.
 *
 * It compares what is with what should be and remembers no events, so it does not matter how a difference came about: a
 * rotation, a deploy in the middle of one, files that were half written when Node-RED started.
 */
'use strict';

const { isConnected, isMovable, liveCertificate, setNextPair, setTlsPair } = require('./connection');
const { Ears } = require('./ears');
const followed = require('./followed');
const { IdentityFiles } = require('./identity');
const { Retirement } = require('./retirement');
const { CONNECT_SPACING, swap } = require('./swap');

/** No refused certificate waits longer than this for its next try, in milliseconds. */
const LONGEST_RETRY = 60 * 60 * 1000;

class Keeper {
    #timer;
    #looking;
    #stopped = true;
    /** By tls-config id; forgotten when flows stop, so that a node never meets the files of its predecessor. */
    #files = new Map();
    /** What was said last about each tls-config or broker id: a state is logged when it begins. */
    #said = new Map();
    /** By live broker node. */
    #history = new WeakMap();
    #ears = new Ears((node, why) => this.#noteFailure(node, why));
    #retirement;

    constructor(RED, settings, report) {
        this.RED = RED;
        this.settings = settings;
        this.report = report;
        this.#retirement = new Retirement(settings, {
            log: (level, text) => this.#log(level, text),
            say: (subject, level, text) => this.#say(subject, level, text),
        });
    }

    start() {
        this.stop();
        this.#stopped = false;
        this.#schedule(0);
    }

    startIfFlowsRun() {
        try {
            this.RED.nodes.eachNode(() => {});
        } catch {
            return;
        }
        this.start();
    }

    /** Begins nothing more. A swap under way ends by itself, or when its broker is closed. */
    stop() {
        this.#stopped = true;
        clearTimeout(this.#timer);
        this.#ears.close();
        this.#retirement.close();
        this.#files.clear();
        this.#publishReport([], []);
    }

    #schedule(milliseconds) {
        this.#timer = setTimeout(() => this.#run(), milliseconds);
        this.#timer.unref();
    }

    async #run() {
        // A look that began before a deploy may still be waiting for its swap.
        await this.#looking;
        if (this.#stopped) {
            return;
        }
        this.#looking = this.#look().catch(error => this.#say('plugin', 'error', error.stack));
        await this.#looking;
        if (!this.#stopped) {
            clearTimeout(this.#timer);
            this.#schedule(this.settings.poll);
        }
    }

    async #look() {
        const all = followed(this.RED);
        this.#ears.open(all.flatMap(({ brokers }) => brokers.map(({ node }) => node)));
        const looked = await Promise.all(all.map(tls => this.#lookAt(tls)));
        if (!this.#stopped) {
            this.#publishReport(looked.map(({ found }) => found), looked.flatMap(({ connections }) => connections));
        }
    }

    async #lookAt(tls) {
        const files = this.#filesOf(tls);
        const found = await files.read();
        const told = { tls_config: tls.id, certificate: tls.certificate, state: found.state };
        if (found.state === 'whole') {
            told.certificate_id = found.identity.certificateId;
            this.#say(tls.id, 'info', `${tls.certificate} holds certificate ${told.certificate_id}`);
        } else {
            told.why = found.why;
            this.#say(tls.id, 'warn', `${tls.certificate} is ${found.state}: ${found.why}; connections stay as they are`);
        }
        const identity = found.state === 'whole' && !this.#stopped ? found.identity : undefined;
        if (identity && tls.node.cert !== identity.cert) {
            setTlsPair(tls.node, identity);
        }
        const connections = await Promise.all(tls.brokers.map(broker => this.#tend(broker, identity)));
        if (identity && !this.#stopped) {
            // An agent that takes its time to answer keeps nobody waiting.
            void this.#retirement.consider(tls, identity.certificateId);
        }
        told.retirement = this.#retirement.said(tls.id);
        return { found: told, connections };
    }

    #filesOf({ id, certificate, key, ca, passphrase }) {
        const known = this.#files.get(id) ?? new IdentityFiles(certificate, key, { ca, passphrase });
        this.#files.set(id, known);
        return known;
    }

    /** Does for one broker what is due, and tells how it stands. */
    async #tend(broker, identity) {
        const { node } = broker;
        const history = this.#historyOf(node);
        if (identity && !node.closing) {
            if (!isConnected(node)) {
                this.#prepare(broker, identity, history);
            } else if (liveCertificate(node) !== identity.certificateId && this.#isDue(node, identity, history)) {
                await this.#move(broker, identity, history);
            }
        }
        return this.#describe(broker, identity, history);
    }

    #historyOf(node) {
        const history = this.#history.get(node) ?? { swaps: 0, last: null, stream: null, since: null, refusal: null };
        this.#history.set(node, history);
        const stream = isConnected(node) ? node.client.stream : null;
        if (stream !== history.stream) {
            history.stream = stream;
            history.since = stream ? Date.now() : null;
        }
        return history;
    }

    /** Has the next attempt of a connection that is down use the files as they are now. */
    #prepare(broker, identity, { refusal }) {
        const { node } = broker;
        if (refusal?.certificateId === identity.certificateId && Date.now() < refusal.until) {
            return;
        }
        if (node.options && node.options.cert !== identity.cert) {
            setNextPair(node, identity);
        }
        // A pair that does not match makes MQTT.js throw while Node-RED connects, which leaves it connecting for ever.
        const hung = node.connecting && (!node.client || node.client.disconnecting);
        if (hung && Object.keys(node.users ?? {}).length > 0) {
            this.#log('info', `${label(broker)}: connecting again, with a pair that is whole`);
            node.connecting = false;
            node.connect();
        }
    }

    #isDue(node, identity, { refusal, since }) {
        if (!isMovable(node.client) || liveCertificate(node) === null) {
            this.#say(node.id, 'warn', `broker ${node.id} is no MQTT over TLS that this plugin can move; deploy it to change its certificate`);
            return false;
        }
        if (refusal?.certificateId === identity.certificateId && Date.now() < refusal.until) {
            return false;
        }
        return Date.now() - since >= CONNECT_SPACING;
    }

    async #move(broker, identity, history) {
        const before = liveCertificate(broker.node);
        const end = await swap(broker.node, identity, this.settings);
        history.last = { ...end, certificate_id: identity.certificateId, at: new Date().toISOString() };
        if (end.outcome === 'swapped') {
            history.swaps += 1;
            history.refusal = null;
            this.#log('info', `${label(broker)}: moved from certificate ${before} to ${identity.certificateId} in ${end.milliseconds} ms, ${end.held} messages waited`);
        } else if (end.outcome !== 'interrupted') {
            this.#noteRefusal(broker, identity, history, end);
        }
        this.#historyOf(broker.node);
    }

    #noteRefusal(broker, { certificateId }, history, { outcome, why }) {
        const again = history.refusal?.certificateId === certificateId;
        const wait = Math.min(again ? history.refusal.wait * 2 : this.settings.retryRefused, LONGEST_RETRY);
        history.refusal = { certificateId, wait, until: Date.now() + wait };
        const now = outcome === 'refused' ? 'it is back on the one before' : 'it is not connected';
        this.#log('error', `${label(broker)}: certificate ${certificateId} was not accepted (${why}); ${now}; next try in ${wait / 1000} s`);
    }

    #noteFailure(node, why) {
        this.#say(`${node.id} fails`, 'warn', why && `${label(node)}: ${why}`);
    }

    /** @returns {import('./report').Connection} */
    #describe({ id, name, node }, identity, history) {
        const options = node.client?.options ?? node.options ?? {};
        return {
            broker: id,
            name,
            client_id: options.clientId ?? '',
            server: `${options.host ?? node.broker}:${options.port ?? node.port}`,
            connected: isConnected(node),
            certificate_id: liveCertificate(node),
            wanted: identity?.certificateId ?? null,
            since: history.since === null ? null : new Date(history.since).toISOString(),
            swaps: history.swaps,
            last_swap: history.last,
        };
    }

    #publishReport(exports, connections) {
        try {
            this.report.update(exports, connections);
            this.#said.delete('report');
        } catch (error) {
            this.#say('report', 'error', `${this.report.file} cannot be written: ${error.message}`);
        }
    }

    /** Logs what is said of a subject when it is not what was said last; `null`: there is nothing to say of it any more. */
    #say(subject, level, text) {
        if (text === null) {
            this.#said.delete(subject);
        } else if (this.#said.get(subject) !== text) {
            this.#said.set(subject, text);
            this.#log(level, text);
        }
    }

    #log(level, text) {
        this.RED.log[level](`[fleetkey] ${text}`);
    }
}

function label({ id, name }) {
    return name ? `broker ${name} (${id})` : `broker ${id}`;
}

module.exports = { Keeper };
