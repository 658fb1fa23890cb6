/**
 * Reads a certificate and its key as one identity, or says why they are none.
 *
 * The agent fills a directory and then swings the link `export` to it, so files that are read from the directory the
 * link led to at one moment belong together. Others copy file by file; therefore the pair is proven before it is used.
 */
'use strict';

const { createHash, createPrivateKey, X509Certificate } = require('node:crypto');
const fs = require('node:fs/promises');
const path = require('node:path');

/** Key and chain in one file, beside the two, as the agent exports them. */
const BUNDLE = 'bundle.pem';
/** No PEM file of an identity is longer, in bytes. */
const LONGEST = 256 * 1024;
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/**
 * @typedef {object} Identity
 * @property {string} certificateId lower-case hex SHA-256 of the certificate's DER, which is also AWS's certificate id
 * @property {Buffer} cert PEM, the device's certificate first
 * @property {Buffer} key PEM
 * @property {Buffer} [ca] PEM, the roots that the broker is verified by
 */

/**
 * @typedef {{state: 'whole', identity: Identity} | {state: 'torn' | 'missing', why: string}} Found
 */

/** Reads the identity at two paths, again only when the files are others than before. */
class IdentityFiles {
    #print = '';
    /** @type {Found} */
    #found = { state: 'missing', why: 'not read yet' };

    /**
     * @param {string} certificate path of the PEM certificate
     * @param {string} key path of the PEM key
     * @param {{ca?: string, passphrase?: string}} [others] path of the PEM roots; what the key is encrypted with
     */
    constructor(certificate, key, { ca, passphrase } = {}) {
        this.certificate = certificate;
        this.key = key;
        this.ca = ca;
        this.passphrase = passphrase;
    }

    /** @returns {Promise<Found>} */
    async read() {
        try {
            const files = await locate(this.certificate, this.key, this.ca);
            const print = await fingerprint(files);
            if (print !== this.#print) {
                this.#found = await load(files, this.passphrase);
                // What was changed while it was read is read again.
                this.#print = (await fingerprint(files)) === print ? print : '';
            }
        } catch (error) {
            this.#print = '';
            this.#found = { state: 'missing', why: reason(error) };
        }
        return this.#found;
    }
}

/** The certificate id of DER bytes. */
function certificateId(der) {
    return createHash('sha256').update(der).digest('hex');
}

/** The files behind the links: what is read from here on is from one generation. */
async function locate(certificate, key, ca) {
    const directory = await fs.realpath(path.dirname(certificate));
    const beside = path.dirname(certificate) === path.dirname(key);
    const files = {
        certificate: path.join(directory, path.basename(certificate)),
        key: beside ? path.join(directory, path.basename(key)) : key,
    };
    if (ca) {
        files.ca = ca;
    }
    const bundle = path.join(directory, BUNDLE);
    if (beside && bundle !== files.certificate && (await exists(bundle))) {
        files.bundle = bundle;
    }
    return files;
}

async function exists(file) {
    try {
        await fs.stat(file);
        return true;
    } catch (error) {
        if (error.code === 'ENOENT') {
            return false;
        }
        throw error;
    }
}

async function fingerprint(files) {
    const stats = await Promise.all(Object.values(files).map(async file => {
        const stat = await fs.stat(file, { bigint: true });
        if (stat.size > LONGEST) {
            throw new Error(`${file} is longer than ${LONGEST} bytes`);
        }
        return [file, stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
    }));
    return stats.join('\n');
}

async function load(files, passphrase) {
    const [cert, key, bundle, ca] = await Promise.all(
        [files.certificate, files.key, files.bundle, files.ca].map(file => file && fs.readFile(file)),
    );
    try {
        const identity = prove(cert, key, passphrase);
        if (bundle && bundleId(bundle, passphrase) !== identity.certificateId) {
            return { state: 'torn', why: `${BUNDLE} holds another certificate than ${path.basename(files.certificate)}` };
        }
        return { state: 'whole', identity: { ...identity, ca } };
    } catch (error) {
        return { state: 'torn', why: reason(error) };
    }
}

/** @throws {Error} unless the key is the certificate's */
function prove(cert, key, passphrase) {
    const leaf = new X509Certificate(cert);
    if (!leaf.checkPrivateKey(createPrivateKey({ key, format: 'pem', passphrase }))) {
        throw new Error('the key is not the certificate\'s');
    }
    return { certificateId: certificateId(leaf.raw), cert, key };
}

function bundleId(bundle, passphrase) {
    const blocks = [...bundle.toString('latin1').matchAll(BLOCK)];
    const key = blocks.find(block => block[1].endsWith('PRIVATE KEY'));
    const cert = blocks.find(block => block[1] === 'CERTIFICATE');
    if (!key || !cert) {
        throw new Error(`${BUNDLE} lacks a key or a certificate`);
    }
    return prove(cert[0], key[0], passphrase).certificateId;
}

/** An error in a line, without what OpenSSL may quote of a file. */
function reason(error) {
    return error.code && String(error.code).startsWith('ERR_OSSL') ? `no usable PEM (${error.code})` : error.message;
}

module.exports = { IdentityFiles, certificateId };
