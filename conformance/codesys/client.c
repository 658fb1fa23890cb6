/* What the MQTT library of a PLC does, by Paho C: one session over TLS 1.2 with files in PEM.
 *
 * Orders come on standard input, a line each; what happens is told on standard output, a line each:
 *
 *   connect TRUST CERTIFICATE KEY   connected | refused CODE
 *   subscribe TOPIC                 subscribed | denied
 *   publish TOPIC PAYLOAD           published | unacknowledged
 *   disconnect                      disconnected
 *
 * and at any time `message TOPIC PAYLOAD` and `lost`. It reads its files at each `connect`, and never in between. Not a
 * PLC: which certificate is taken from the store is decided in store.py.
 */

#include <MQTTClient.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QOS 1
#define WORD 1023
#define KEEP_ALIVE_S 30
#define CONNECT_WITHIN_S 20
#define ACKNOWLEDGE_WITHIN_MS 20000L

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&output);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&output);
    va_end(arguments);
}

static void on_lost(void *context, char *cause)
{
    (void)context;
    (void)cause;
    say("lost");
}

static int on_message(void *context, char *topic, int length, MQTTClient_message *message)
{
    (void)context;
    (void)length;
    say("message %s %.*s", topic, message->payloadlen, (char *)message->payload);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    return 1;
}

static void enable(MQTTClient client, const char *trust, const char *certificate, const char *key)
{
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    tls.trustStore = trust;
    tls.keyStore = certificate;
    tls.privateKey = key;
    tls.sslVersion = MQTT_SSL_VERSION_TLS_1_2;
    tls.enableServerCertAuth = 1;
    tls.verify = 1;
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    options.keepAliveInterval = KEEP_ALIVE_S;
    options.connectTimeout = CONNECT_WITHIN_S;
    options.cleansession = 1;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.ssl = &tls;
    int code = MQTTClient_connect(client, &options);
    if (code == MQTTCLIENT_SUCCESS)
        say("connected");
    else
        say("refused %d", code);
}

static void publish(MQTTClient client, const char *topic, const char *payload)
{
    MQTTClient_deliveryToken token;
    int code = MQTTClient_publish(client, topic, (int)strlen(payload), payload, QOS, 0, &token);
    if (code == MQTTCLIENT_SUCCESS)
        code = MQTTClient_waitForCompletion(client, token, ACKNOWLEDGE_WITHIN_MS);
    say(code == MQTTCLIENT_SUCCESS ? "published" : "unacknowledged");
}

static void obey(MQTTClient client, const char *line)
{
    static char word[3][WORD + 1];
    char order[16] = "";
    int words = sscanf(line, "%15s %1023s %1023s %1023s", order, word[0], word[1], word[2]);
    if (!strcmp(order, "connect") && words == 4)
        enable(client, word[0], word[1], word[2]);
    else if (!strcmp(order, "subscribe") && words == 2)
        say(MQTTClient_subscribe(client, word[0], QOS) == MQTTCLIENT_SUCCESS ? "subscribed" : "denied");
    else if (!strcmp(order, "publish") && words == 3)
        publish(client, word[0], word[1]);
    else if (!strcmp(order, "disconnect")) {
        MQTTClient_disconnect(client, 1000);
        say("disconnected");
    } else
        say("unknown %s", order);
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: client URI CLIENT-ID\n");
        return 2;
    }
    MQTTClient client;
    if (MQTTClient_create(&client, arguments[1], arguments[2], MQTTCLIENT_PERSISTENCE_NONE, NULL)) {
        fprintf(stderr, "no client for %s\n", arguments[1]);
        return 2;
    }
    MQTTClient_setCallbacks(client, NULL, on_lost, on_message, NULL);
    char line[4 * WORD];
    while (fgets(line, sizeof line, stdin))
        obey(client, line);
    MQTTClient_disconnect(client, 1000);
    MQTTClient_destroy(&client);
    return 0;
}
