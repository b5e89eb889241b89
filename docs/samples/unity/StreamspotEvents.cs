// Events of streamspot in C#, with MQTTnet 4 (.NET Standard, so Unity too) and Newtonsoft.Json: reconnects by itself,
// takes each event once, hands over to the thread that asks. For MQTTnet 5 write MqttClientFactory instead of
// MqttFactory and leave "using MQTTnet.Client" out.

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using MQTTnet;
using MQTTnet.Client;
using MQTTnet.Protocol;
using Newtonsoft.Json;

namespace Streamspot
{
    /// <summary>An instant on every clock.</summary>
    public sealed class Moment
    {
        [JsonProperty("tick")] public int Tick;
        [JsonProperty("frame")] public int Frame;
        [JsonProperty("pts")] public double Pts;
        [JsonProperty("time")] public DateTimeOffset Time;
    }

    /// <summary>How much of an expression's movement a region of the face made.</summary>
    public sealed class Moved
    {
        [JsonProperty("region")] public string Region;
        [JsonProperty("share")] public float Share;
    }

    /// <summary>One phase of one expression; docs/mqtt.md describes each field.</summary>
    public sealed class Event
    {
        [JsonProperty("run")] public string Run;
        [JsonProperty("session")] public string Session;
        [JsonProperty("stream")] public string Stream;
        [JsonProperty("face")] public int Face;
        [JsonProperty("expression")] public string Expression;
        [JsonProperty("phase")] public string Phase;
        [JsonProperty("kind")] public string Kind;
        [JsonProperty("seq")] public long Seq;
        [JsonProperty("onset")] public Moment Onset;
        [JsonProperty("apex")] public Moment Apex;
        [JsonProperty("offset")] public Moment Offset;
        [JsonProperty("intensity")] public float Intensity;
        [JsonProperty("score")] public float Score;
        [JsonProperty("moved")] public Moved[] Moved;
        [JsonProperty("decided_at")] public Moment DecidedAt;
        [JsonProperty("look_ahead")] public int LookAhead;
        [JsonProperty("model")] public string Model;
        [JsonProperty("reason")] public string Reason;
    }

    /// <summary>Listens to a broker until it is disposed of. Take events in the thread that uses them.</summary>
    public sealed class Events : IDisposable
    {
        private const int Runs = 256; // that are remembered; beyond them the one silent for longest is forgotten
        private const int Gaps = 1000; // in the numbers of a run
        private static readonly Regex Known = new Regex(@"^io\.streamspot\.expression\.\w+\.v1$"); // and no other version

        private readonly ConcurrentQueue<Event> _arrived = new ConcurrentQueue<Event>();
        private readonly CancellationTokenSource _stop = new CancellationTokenSource();
        private readonly Dictionary<string, List<long[]>> _seen = new Dictionary<string, List<long[]>>();
        private readonly List<string> _runs = new List<string>(); // the one silent for longest first
        private readonly IMqttClient _client = new MqttFactory().CreateMqttClient();
        private readonly MqttClientOptions _options;

        /// <param name="clientId">A name of your own: the broker keeps events for it while you are away.</param>
        public Events(string host, string clientId, int port = 1883, string user = null, string password = null)
        {
            var options = new MqttClientOptionsBuilder()
                .WithTcpServer(host, port)
                .WithClientId(clientId)
                .WithCleanSession(false)
                .WithKeepAlivePeriod(TimeSpan.FromSeconds(10));
            if (user != null) options = options.WithCredentials(user, password);
            _options = options.Build();
            _client.ApplicationMessageReceivedAsync += Receive;
            Task.Run(KeepConnected);
        }

        public bool Connected => _client.IsConnected;

        /// <summary>The next event, if one has come; never blocks.</summary>
        public bool TryTake(out Event happened) => _arrived.TryDequeue(out happened);

        public void Dispose()
        {
            _stop.Cancel();
            _client.Dispose();
        }

        private async Task KeepConnected()
        {
            var subscribed = false;
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    if (!_client.IsConnected)
                    {
                        subscribed = false;
                        await _client.ConnectAsync(_options, _stop.Token).ConfigureAwait(false);
                    }
                    if (!subscribed)
                    {
                        var topics = new MqttClientSubscribeOptionsBuilder()
                            .WithTopicFilter("streamspot/+/+/event", MqttQualityOfServiceLevel.AtLeastOnce)
                            .Build();
                        var answer = await _client.SubscribeAsync(topics, _stop.Token).ConfigureAwait(false);
                        subscribed = answer.Items.All(item => item.ResultCode <= MqttClientSubscribeResultCode.GrantedQoS2);
                    }
                }
                catch (Exception)
                {
                    // not there yet; tried again below
                }
                try { await Task.Delay(TimeSpan.FromSeconds(1), _stop.Token).ConfigureAwait(false); }
                catch (OperationCanceledException) { return; }
            }
        }

        private Task Receive(MqttApplicationMessageReceivedEventArgs message)
        {
            try
            {
                var envelope = JsonConvert.DeserializeObject<Envelope>(message.ApplicationMessage.ConvertPayloadToString());
                var happened = envelope?.Data;
                if (happened == null || !Known.IsMatch(envelope.Type ?? "")) return Task.CompletedTask;
                if (IsNew($"{message.ApplicationMessage.Topic} {happened.Run}", happened.Seq)) _arrived.Enqueue(happened);
            }
            catch (JsonException)
            {
                // somebody else's message
            }
            return Task.CompletedTask;
        }

        // Remembers which numbers of a run have come, as spans {first, last}: however long the run, a repetition is known.
        private bool IsNew(string run, long seq) // MQTTnet calls Receive for one message after the other
        {
            _runs.Remove(run);
            _runs.Add(run);
            if (!_seen.TryGetValue(run, out var spans)) _seen[run] = spans = new List<long[]>();
            if (_runs.Count > Runs)
            {
                _seen.Remove(_runs[0]);
                _runs.RemoveAt(0);
            }
            var at = spans.Count;
            while (at > 0 && spans[at - 1][0] > seq) at--;
            if (at > 0 && seq <= spans[at - 1][1]) return false;
            spans.Insert(at, new[] { seq, seq });
            if (at + 1 < spans.Count && spans[at + 1][0] == seq + 1) Join(spans, at);
            if (at > 0 && spans[at - 1][1] == seq - 1) Join(spans, at - 1);
            if (spans.Count > Gaps) spans.RemoveAt(0);
            return true;
        }

        private static void Join(List<long[]> spans, int at)
        {
            spans[at][1] = spans[at + 1][1];
            spans.RemoveAt(at + 1);
        }

        private sealed class Envelope
        {
            [JsonProperty("type")] public string Type;
            [JsonProperty("data")] public Event Data;
        }
    }
}
