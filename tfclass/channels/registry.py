"""The table of channels: a new one is a module with its class, and a line here."""

from tfclass.channels.base import Channel
from tfclass.channels.homology import HomologyChannel
from tfclass.channels.profile import ProfileChannel

# Beside the network, which every model has; in the order of the features and of the columns of the output.
CHANNELS: dict[str, type[Channel]] = {channel.name: channel for channel in (ProfileChannel, HomologyChannel)}
