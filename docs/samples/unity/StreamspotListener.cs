// Put this on a GameObject; the events arrive in Unity's main thread, where the scene may be touched.

using UnityEngine;
using UnityEngine.Events;

namespace Streamspot
{
    public sealed class StreamspotListener : MonoBehaviour
    {
        public string Host = "127.0.0.1";
        public int Port = 1883;
        public string User = "";
        public string Password = ""; // is saved with the scene; filled in by a script before OnEnable it is not
        public string ClientId = "";
        public UnityEvent<Event> Happened = new UnityEvent<Event>();

        private Events _events;

        private void OnEnable()
        {
            var id = ClientId.Length > 0 ? ClientId : "unity-" + SystemInfo.deviceUniqueIdentifier;
            _events = User.Length > 0 ? new Events(Host, id, Port, User, Password) : new Events(Host, id, Port);
        }

        private void Update()
        {
            while (_events.TryTake(out var happened))
            {
                Happened.Invoke(happened);
                if (happened.Phase == "offset") Debug.Log($"{happened.Stream}: {happened.Kind} {happened.Intensity}");
            }
        }

        private void OnDisable() => _events.Dispose();
    }
}
