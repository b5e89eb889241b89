"""MQTT: where events are delivered and commands come from."""
