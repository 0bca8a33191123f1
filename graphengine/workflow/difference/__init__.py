"""What two workflows say differently: nodes, inputs and links, whatever their ids and places."""
